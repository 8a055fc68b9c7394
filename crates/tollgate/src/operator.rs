//! Who is at the command line, for the audit log.

use tollgate_core::audit::By;
use tollgate_engine::clock::Clock;

/// Most characters of an account's name that are kept.
const NAME_MAX: usize = 64;

/// The person at the command line, by the name of their account on this machine, now.
pub(crate) fn by() -> By {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        format!("uid-{uid}")
    });
    By::command_line(name.chars().take(NAME_MAX).collect(), Clock::System.now_ms())
}
