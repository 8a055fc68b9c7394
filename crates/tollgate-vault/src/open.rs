//! Opening a vault: its folder, its schema, and the proof that the master key is the right one.

use crate::audit::{AuditAction, AuditFault, AuditPurpose, AuditResult, Chain, Entry};
use crate::disk::{DiskError, Table, Tables};
use crate::envelope::Key;
use crate::keyring::Keyring;
use crate::master::{MasterError, MasterKey};
use crate::rows::{
    META_AUDIT_HEAD, META_AUDIT_KEY, META_FINGERPRINT_KEY, META_MASTER, META_SCHEMA, MasterRow, WrappedRow,
    decode, encode, own_key_use,
};
use fjall::PersistMode;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The schema this program writes.
const SCHEMA: u32 = 1;

/// What a master key must unwrap to prove itself.
pub(crate) const CHECK: &[u8] = b"check";

/// How a vault is opened.
pub struct VaultOptions {
    /// Where the vault is. Its own folder.
    pub folder: PathBuf,
    /// The master key; two while a rotation is under way. A new vault is made under the first.
    pub masters: Vec<Arc<dyn MasterKey>>,
    /// Most cards held in memory, and as many security codes.
    pub held_max: usize,
    /// How long each is held at most, in milliseconds.
    pub hold_ms: u64,
    /// Most changes that may wait for the disk.
    pub queue_length_max: usize,
    /// Most data keys kept unwrapped in memory.
    pub data_keys_max: usize,
    /// Block cache, in bytes.
    pub cache_bytes: u64,
}

impl fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultOptions")
            .field("folder", &self.folder)
            .field("masters", &self.masters.iter().map(|master| master.id()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl VaultOptions {
    /// The defaults for a folder.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, master: Arc<dyn MasterKey>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            masters: vec![master],
            held_max: 100_000,
            hold_ms: 900_000,
            queue_length_max: 16_384,
            data_keys_max: 10_000,
            cache_bytes: 64 << 20,
        }
    }
}

/// Why a vault was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No master key was given.
    #[error("the vault needs a master key")]
    NoMaster,
    /// The master key given is another one.
    #[error("the vault in {folder} is under the master key {wanted}; the key given is {given}")]
    OtherMaster {
        /// Where the vault is.
        folder: String,
        /// The id of the key it needs.
        wanted: String,
        /// The ids of the keys given.
        given: String,
    },
    /// The master key has the right name and is not the right key.
    #[error("the master key {0} does not open this vault: it is not the key the vault was made under")]
    WrongMaster(String),
    /// A rotation of the master key is under way and one of its keys is missing.
    #[error(
        "the vault in {folder} is being brought from the master key {from} to {to}; start it with both keys"
    )]
    Rotating {
        /// Where the vault is.
        folder: String,
        /// The old key's id.
        from: String,
        /// The new key's id.
        to: String,
    },
    /// The master key cannot be used.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// Another process has it open.
    #[error("the vault {0} is in use by another process; stop that process or choose another folder")]
    Locked(String),
    /// A newer program wrote it.
    #[error(
        "the vault was written by a newer Tollgate (schema {found}, this program knows {SCHEMA}); \
         start the newer program"
    )]
    Newer {
        /// The schema of the folder.
        found: u32,
    },
    /// What must be there is not, or does not decode.
    #[error("the vault is damaged: {0}")]
    Damaged(&'static str),
    /// The end of the audit trail is not where it should be.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The folder cannot be used.
    #[error("the vault cannot be used: {0}")]
    Store(String),
}

impl From<fjall::Error> for OpenError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Store(error.0)
    }
}

/// What is there once a vault is open.
pub(crate) struct Opened {
    pub(crate) tables: Arc<Tables>,
    pub(crate) keyring: Keyring,
    pub(crate) chain: Chain,
    pub(crate) fingerprint_key: Key,
    pub(crate) audit_key: Key,
}

/// Opens or makes a vault.
pub(crate) fn open(options: &VaultOptions) -> Result<Opened, OpenError> {
    let folder = options.folder.display().to_string();
    let first = options.masters.first().ok_or(OpenError::NoMaster)?;
    make_folder(&options.folder).map_err(|error| OpenError::Store(error.to_string()))?;
    let tables = Tables::open(&options.folder, options.cache_bytes).map_err(|error| match error {
        fjall::Error::Locked => OpenError::Locked(folder.clone()),
        error => error.into(),
    })?;
    match tables.get(Table::Meta, META_SCHEMA)? {
        None => make(&tables, first.as_ref())?,
        Some(bytes) => {
            let found = <[u8; 4]>::try_from(bytes.as_slice())
                .map(u32::from_be_bytes)
                .map_err(|_| OpenError::Damaged("its schema version"))?;
            if found > SCHEMA {
                return Err(OpenError::Newer { found });
            }
        }
    }
    let keyring = Keyring::new(options.masters.clone(), options.data_keys_max);
    check_masters(&tables, &keyring, options, folder)?;
    let audit_key = own_key(&tables, &keyring, META_AUDIT_KEY)?;
    let chain = end_of_chain(&tables, &audit_key)?;
    let fingerprint_key = own_key(&tables, &keyring, META_FINGERPRINT_KEY)?;
    Ok(Opened { tables: Arc::new(tables), keyring, chain, fingerprint_key, audit_key })
}

/// Makes the folder, for its owner alone.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Makes an empty folder a vault: all of it, or nothing.
fn make(tables: &Tables, master: &dyn MasterKey) -> Result<(), OpenError> {
    let wrap = |key: &Key, name: &[u8]| -> Result<Vec<u8>, OpenError> {
        let wrapped = master.wrap(key, &own_key_use(name))?;
        Ok(encode(&WrappedRow { master: master.id().to_owned(), wrapped }))
    };
    let audit_key = Key::random();
    let mut chain = Chain::new(audit_key.clone());
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    let (first_key, first) = chain.add(Entry {
        at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
        merchant_id: None,
        token: None,
        action: AuditAction::Create,
        purpose: AuditPurpose::Master(master.id().to_owned()),
        result: AuditResult::Done,
    });
    let master_row = MasterRow {
        current: master.id().to_owned(),
        check: master.wrap(&Key::random(), &own_key_use(CHECK))?,
        next: None,
    };
    let mut rows = tables.database.batch().durability(Some(PersistMode::SyncAll));
    let meta = tables.table(Table::Meta);
    rows.insert(meta, META_SCHEMA, SCHEMA.to_be_bytes());
    rows.insert(meta, META_MASTER, encode(&master_row));
    rows.insert(meta, META_AUDIT_KEY, wrap(&audit_key, META_AUDIT_KEY)?);
    rows.insert(meta, META_FINGERPRINT_KEY, wrap(&Key::random(), META_FINGERPRINT_KEY)?);
    rows.insert(meta, META_AUDIT_HEAD, chain.head());
    rows.insert(tables.table(Table::Audit), first_key, first);
    Ok(rows.commit()?)
}

/// Proves that the master keys given are those the vault needs.
fn check_masters(
    tables: &Tables,
    keyring: &Keyring,
    options: &VaultOptions,
    folder: String,
) -> Result<(), OpenError> {
    let damaged = OpenError::Damaged("the name of its master key");
    let row = tables.get(Table::Meta, META_MASTER)?.and_then(|bytes| decode::<MasterRow>(&bytes).ok());
    let row = row.ok_or(damaged)?;
    let proves = |id: &str, check: &[u8]| match keyring.master(id) {
        None => Ok(false),
        Some(master) => match master.unwrap(check, &own_key_use(CHECK)) {
            Ok(_) => Ok(true),
            Err(MasterError::Refused) => Err(OpenError::WrongMaster(id.to_owned())),
            Err(error) => Err(error.into()),
        },
    };
    let current = proves(&row.current, &row.check)?;
    match row.next {
        None if current => Ok(()),
        None => {
            let given: Vec<_> = options.masters.iter().map(|master| master.id()).collect();
            Err(OpenError::OtherMaster { folder, wanted: row.current, given: given.join(", ") })
        }
        Some((next, check)) => {
            if proves(&next, &check)? && current {
                Ok(())
            } else {
                Err(OpenError::Rotating { folder, from: row.current, to: next })
            }
        }
    }
}

/// One of the vault's own keys.
fn own_key(tables: &Tables, keyring: &Keyring, name: &[u8]) -> Result<Key, OpenError> {
    let damaged = || OpenError::Damaged("one of its own keys");
    let row = tables.get(Table::Meta, name)?.and_then(|bytes| decode::<WrappedRow>(&bytes).ok());
    keyring.unwrap(&row.ok_or_else(damaged)?, &own_key_use(name)).map_err(|error| match error {
        MasterError::Refused => damaged(),
        error => error.into(),
    })
}

/// Where the audit trail ends; it must end where its end says.
fn end_of_chain(tables: &Tables, key: &Key) -> Result<Chain, OpenError> {
    let head = tables.get(Table::Meta, META_AUDIT_HEAD)?.ok_or(AuditFault::Head)?;
    let chain = Chain::of_head(key.clone(), &head)?;
    let found = match tables.table(Table::Audit).last_key_value() {
        None => 0,
        Some(last) => <[u8; 8]>::try_from(last.key()?.as_ref()).map_or(0, u64::from_be_bytes),
    };
    if found == chain.sequence {
        Ok(chain)
    } else {
        Err(AuditFault::Cut { found, expected: chain.sequence }.into())
    }
}
