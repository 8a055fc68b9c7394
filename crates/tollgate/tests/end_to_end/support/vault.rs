//! The vault of the end-to-end tests: with stored cards in the gateway's process, or a process of its own.

use super::{BINARY, Rig, free_port};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Master key and folder of a vault with stored cards, as configuration.
pub fn vault_settings(rig: &Path) -> String {
    let key = rig.join("vault.key");
    std::fs::write(&key, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("[vault]\nfolder = \"{0}/vault\"\nmaster_key = \"file:{0}/vault.key\"\n", rig.display())
}

/// Appends to the rig's configuration; the next `serve` sees it.
pub fn configure(rig: &Rig, more: &str) {
    let mut text = std::fs::read_to_string(rig.config()).unwrap();
    text.push_str(more);
    std::fs::write(rig.config(), text).unwrap();
}

/// Configures a vault that is a process of its own, before anything is started; the port where it takes cards.
pub fn set_apart(rig: &Rig) -> u16 {
    let vault_listen = free_port();
    let shared = format!("session_secret = \"{:032x}\"\n", rand::random::<u128>());
    let socket = rig.path("vault.sock").display().to_string();
    let common = std::fs::read_to_string(rig.config()).unwrap();
    let common = common.replacen("[server]\n", &format!("[server]\npublic_url = \"{}\"\n", rig.url("")), 1);
    std::fs::write(
        rig.path("vault.toml"),
        format!(
            "{common}{}listen = \"unix:{socket}\"\ncard_listen = \"127.0.0.1:{vault_listen}\"\n{shared}",
            vault_settings(rig.folder.path())
        ),
    )
    .unwrap();
    let card_url = format!("card_url = \"http://127.0.0.1:{vault_listen}\"\n");
    configure(rig, &format!("[vault]\nremote = \"unix:{socket}\"\n{card_url}{shared}"));
    vault_listen
}

/// The vault's process.
pub struct VaultProcess {
    process: Child,
    /// Where it takes cards.
    pub url: String,
}

impl VaultProcess {
    /// Starts it; see [`set_apart`].
    pub fn start(rig: &Rig) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(rig.path("vault.log")).unwrap();
        let mut process = Command::new(BINARY)
            .arg("--config")
            .arg(rig.path("vault.toml"))
            .args(["vault", "serve"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("The vault takes cards at ").unwrap_or_else(|| panic!("{line:?}"));
        Self { url: url.to_owned(), process }
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for VaultProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
