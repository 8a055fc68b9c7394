//! Where a master key comes from, as text: `file:PATH`, `env:NAME`, `command:…`, `pkcs11:…`.

use super::{LocalMaster, MasterError, MasterKey, Pkcs11Config, Pkcs11Master};
use crate::envelope::Key;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a command may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest text a key is read from.
const TEXT_LENGTH_MAX: u64 = 1_024;

/// Where a master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterSource {
    /// A file that only its owner may read, with 32 bytes as base64 or hexadecimal digits.
    File(PathBuf),
    /// An environment variable, likewise.
    Env(String),
    /// A program and its arguments; it prints the key, likewise.
    Command(Vec<String>),
    /// A key that stays in a PKCS#11 token.
    Pkcs11(Pkcs11Config),
}

impl FromStr for MasterSource {
    type Err = MasterError;

    fn from_str(text: &str) -> Result<Self, MasterError> {
        let unknown = || {
            let known = "file:PATH, env:NAME, command:PROGRAM ARGUMENTS or pkcs11:NAME=VALUE;…";
            MasterError::Source(format!("a master key's source is written {known}"))
        };
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(unknown)?;
        match kind {
            "file" => Ok(Self::File(rest.into())),
            "env" => Ok(Self::Env(rest.to_owned())),
            "command" => {
                let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
                if words.is_empty() { Err(unknown()) } else { Ok(Self::Command(words)) }
            }
            "pkcs11" => Ok(Self::Pkcs11(rest.parse()?)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for MasterSource {
    /// As it was written. No source holds a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Command(words) => write!(f, "command:{}", words.join(" ")),
            Self::Pkcs11(config) => write!(f, "pkcs11:{config}"),
        }
    }
}

impl MasterSource {
    /// Fetches the key, or reaches for what holds it. May take seconds.
    ///
    /// # Errors
    /// [`MasterError`], in words for a person and without any of the key.
    pub fn open(&self) -> Result<Arc<dyn MasterKey>, MasterError> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Env(name) => Zeroizing::new(std::env::var(name).map_err(|_| {
                MasterError::Source(format!("the environment variable {name} holds no master key"))
            })?),
            Self::Command(words) => run_command(words)?,
            Self::Pkcs11(config) => return Ok(Arc::new(Pkcs11Master::open(config)?)),
        };
        let key = Key::parse(&text).ok_or_else(|| {
            MasterError::Source(format!(
                "{self} does not hold a master key: 32 bytes as base64 or as 64 hexadecimal digits"
            ))
        })?;
        Ok(Arc::new(LocalMaster::new(key)))
    }
}

fn read_bounded(mut from: impl Read) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(2 * 1_024));
    from.by_ref().take(TEXT_LENGTH_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, MasterError> {
    let failed = |error: std::io::Error| {
        MasterError::Source(format!("the master key file {} cannot be read: {error}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(MasterError::Source(format!(
                "the master key file {} may be used by others than its owner (mode {:o}); chmod 600 it",
                path.display(),
                mode & 0o777
            )));
        }
    }
    read_bounded(file).map_err(failed)
}

fn run_command(words: &[String]) -> Result<Zeroizing<String>, MasterError> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| MasterError::Source("the command is empty".to_owned()))?;
    let failed =
        |what: String| MasterError::Source(format!("the master key command {program} failed: {what}"));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it complains about goes where this program's complaints go.
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = child.stdout.take().ok_or_else(|| failed("no output".to_owned()))?;
    // Read aside: a program that never closes its output must not hold up the time limit.
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(read_bounded(output)));
    let deadline = Instant::now() + COMMAND_TIME_MAX;
    let text = receiver.recv_timeout(COMMAND_TIME_MAX);
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("no answer within {} s", COMMAND_TIME_MAX.as_secs())));
            }
        }
    };
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    match text {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("no output".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn keys_are_read_as_hex_and_base64() {
        for text in [HEX, BASE64, BASE64.trim_end_matches('='), &format!(" {HEX}\n")] {
            let key = Key::parse(text).unwrap();
            assert_eq!(key.expose()[..3], [0, 1, 2]);
            assert_eq!(key.expose()[31], 31);
        }
        for text in ["", "00", &HEX[2..], &BASE64[4..], &format!("{BASE64}{BASE64}"), "x"] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn sources_are_read_as_they_are_written() {
        let pkcs11 = "pkcs11:module=/x.so;token=t;key=k;pin=env:PIN";
        for text in ["file:/etc/key", "env:NAME", "command:/bin/echo a b", pkcs11] {
            assert_eq!(text.parse::<MasterSource>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "command: ", "vault:x", "x", "pkcs11:module=/x.so"] {
            assert!(text.parse::<MasterSource>().is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_must_be_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master");
        std::fs::write(&path, HEX).unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let source = MasterSource::File(path.clone());
        set(0o640);
        let refusal = source.open().unwrap_err().to_string();
        assert!(refusal.contains("mode 640") && refusal.contains("chmod 600"), "{refusal}");
        set(0o600);
        let id = source.open().unwrap().id().to_owned();
        assert!(!HEX.contains(id.trim_start_matches("local:")));
        std::fs::write(&path, "half a key 4111").unwrap();
        assert!(!source.open().unwrap_err().to_string().contains("4111"));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_prints_the_key() {
        let echo = MasterSource::Command(vec!["/bin/echo".to_owned(), BASE64.to_owned()]);
        let key = echo.open().unwrap();
        let same: MasterSource = format!("command:/bin/echo {HEX}").parse().unwrap();
        assert_eq!(same.open().unwrap().id(), key.id());
        for words in [["/bin/false", ""], ["/nowhere/to/be/found", ""], ["/bin/echo", "no key"]] {
            let source = MasterSource::Command(words.map(str::to_owned).to_vec());
            assert!(source.open().is_err(), "{words:?}");
        }
    }
}
