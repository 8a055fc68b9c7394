//! A master key that stays in a PKCS#11 token (a hardware security module, or SoftHSM2): keys are
//! wrapped and unwrapped by AES-GCM inside the token.
//!
//! Sources: PKCS #11 Cryptographic Token Interface 2.40, sections 2.12.3 (AES-GCM) and 5.8.

use super::{MasterError, MasterKey};
use crate::envelope::Key;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// Bytes of an AES-GCM nonce. Random: one key may wrap 2³² times, far more than there are merchants.
const NONCE_LENGTH: usize = 12;

/// Bits of the tag.
const TAG_BITS: cryptoki::types::Ulong = cryptoki::types::Ulong::new(128);

/// Modules may be initialised once in a process.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Pkcs11>>> = LazyLock::new(Mutex::default);

/// Where the PIN of the token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Which key of which token: `module=PATH;token=LABEL;key=LABEL;pin=file:PATH` or `pin=env:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Config {
    /// The module's shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the AES-256 key.
    pub key: String,
    /// Where the user's PIN comes from.
    pub pin: PinSource,
}

impl FromStr for Pkcs11Config {
    type Err = MasterError;

    fn from_str(text: &str) -> Result<Self, MasterError> {
        let wrong = || {
            MasterError::Source(
                "a key in a token is written pkcs11:module=PATH;token=LABEL;key=LABEL;pin=file:PATH \
                 or pin=env:NAME"
                    .to_owned(),
            )
        };
        let mut values = HashMap::new();
        for part in text.split(';') {
            let (name, value) =
                part.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(wrong)?;
            if values.insert(name, value).is_some() {
                return Err(wrong());
            }
        }
        let mut take = |name| values.remove(name).ok_or_else(wrong);
        let (module, token, key, pin) = (take("module")?, take("token")?, take("key")?, take("pin")?);
        let pin = match pin.split_once(':') {
            Some(("file", path)) => PinSource::File(path.into()),
            Some(("env", name)) => PinSource::Env(name.to_owned()),
            _ => return Err(wrong()),
        };
        if !values.is_empty() {
            return Err(wrong());
        }
        Ok(Self { module: module.into(), token: token.to_owned(), key: key.to_owned(), pin })
    }
}

impl fmt::Display for Pkcs11Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "module={};token={};key={};pin=", self.module.display(), self.token, self.key)?;
        match &self.pin {
            PinSource::File(path) => write!(f, "file:{}", path.display()),
            PinSource::Env(name) => write!(f, "env:{name}"),
        }
    }
}

/// A session in which the user is logged in, and the key's handle in it.
struct Login {
    session: Session,
    key: ObjectHandle,
}

/// A master key in a PKCS#11 token.
pub struct Pkcs11Master {
    id: String,
    config: Pkcs11Config,
    pin: AuthPin,
    login: Mutex<Option<Login>>,
}

impl fmt::Debug for Pkcs11Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Master").field("id", &self.id).finish_non_exhaustive()
    }
}

fn unreachable(error: &Error) -> MasterError {
    MasterError::Unreachable(error.to_string())
}

fn module(path: &PathBuf) -> Result<Pkcs11, MasterError> {
    let mut modules = MODULES.lock();
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(|error| {
        MasterError::Source(format!("the PKCS#11 module {} cannot be loaded: {error}", path.display()))
    })?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(unreachable(&error)),
    }
    modules.insert(path.clone(), module.clone());
    Ok(module)
}

impl Pkcs11Master {
    /// Logs in and finds the key.
    ///
    /// # Errors
    /// [`MasterError`], in words for a person.
    pub fn open(config: &Pkcs11Config) -> Result<Self, MasterError> {
        let pin = match &config.pin {
            PinSource::Env(name) => std::env::var(name)
                .map_err(|_| MasterError::Source(format!("the environment variable {name} holds no PIN"))),
            PinSource::File(path) => std::fs::read_to_string(path).map_err(|error| {
                MasterError::Source(format!("the PIN file {} cannot be read: {error}", path.display()))
            }),
        };
        let pin = Zeroizing::new(pin?);
        let master = Self {
            id: format!("pkcs11:{}/{}", config.token, config.key),
            config: config.clone(),
            pin: AuthPin::new(pin.trim().into()),
            login: Mutex::new(None),
        };
        *master.login.lock() = Some(master.log_in()?);
        Ok(master)
    }

    fn log_in(&self) -> Result<Login, MasterError> {
        let config = &self.config;
        let module = module(&config.module)?;
        let slots = module.get_slots_with_initialized_token().map_err(|error| unreachable(&error))?;
        let slot = slots
            .into_iter()
            .find(|slot| module.get_token_info(*slot).is_ok_and(|token| token.label() == config.token))
            .ok_or_else(|| MasterError::Unreachable(format!("there is no token {}", config.token)))?;
        let session = module.open_ro_session(slot).map_err(|error| unreachable(&error))?;
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(unreachable(&error)),
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Label(config.key.as_bytes().to_vec()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let keys = session.find_objects(&template).map_err(|error| unreachable(&error))?;
        match keys.as_slice() {
            [key] => Ok(Login { key: *key, session }),
            found => Err(MasterError::Unreachable(format!(
                "the token {} has {} secret keys {} that may encrypt and decrypt, not one",
                config.token,
                found.len(),
                config.key
            ))),
        }
    }

    /// Does something in the session; once again in a new one if the session is gone.
    fn within<T>(&self, work: impl Fn(&Login) -> Result<T, Error>) -> Result<T, Error> {
        let mut held = self.login.lock();
        if let Some(login) = held.as_ref() {
            match work(login) {
                Err(Error::Pkcs11(
                    RvError::SessionClosed
                    | RvError::SessionHandleInvalid
                    | RvError::UserNotLoggedIn
                    | RvError::DeviceError
                    | RvError::DeviceRemoved
                    | RvError::ObjectHandleInvalid
                    | RvError::KeyHandleInvalid,
                    _,
                )) => *held = None,
                done => return done,
            }
        }
        let login = self.log_in().map_err(|error| {
            tracing::warn!(%error, "cannot log in to the PKCS#11 token");
            Error::NotSupported
        })?;
        work(held.insert(login))
    }
}

impl MasterKey for Pkcs11Master {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, key: &Key, bound_to: &[u8]) -> Result<Vec<u8>, MasterError> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let sealed = self
            .within(|login| {
                let mut used = nonce;
                let mechanism = Mechanism::AesGcm(GcmParams::new(&mut used, bound_to, TAG_BITS)?);
                login.session.encrypt(&mechanism, login.key, key.expose())
            })
            .map_err(|error| unreachable(&error))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn unwrap(&self, wrapped: &[u8], bound_to: &[u8]) -> Result<Key, MasterError> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LENGTH>().ok_or(MasterError::Refused)?;
        let plain = self.within(|login| {
            let mut used = *nonce;
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut used, bound_to, TAG_BITS)?);
            login.session.decrypt(&mechanism, login.key, sealed).map(Zeroizing::new)
        });
        match plain {
            Ok(plain) => Key::from_slice(&plain).ok_or(MasterError::Refused),
            // Tokens differ in what they say to a tag that is wrong.
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::ArgumentsBad
                | RvError::DataInvalid,
                _,
            )) => Err(MasterError::Refused),
            Err(error) => Err(unreachable(&error)),
        }
    }
}
