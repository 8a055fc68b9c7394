//! The matrix as a page for people: `docs/roles.md`.

use super::{MATRIX, Reach, Role};
use std::fmt::Write as _;

const BEGINNING: &str = "\
# Roles

Every API key and token has a role; a key can be narrowed further to some of its role's permissions. Each endpoint demands
one permission, told as `x-permission` in `/openapi.json`; whoever lacks it gets 403 `forbidden` with its name.

This page is made from the table that the program goes by (`crates/tollgate-core/src/access.rs`); a test compares them, and
`TOLLGATE_REWRITE_DOCS=1 cargo test -p tollgate-core roles_page` writes it anew. That every endpoint holds to it, for every role, is
tested by `crates/tollgate/tests/end_to_end/crossing.rs`.
";

/// The page `docs/roles.md`.
#[must_use]
pub fn matrix_page() -> String {
    let mut page = BEGINNING.to_owned();
    for (reach, title, words) in [
        (Reach::Account, "Keys of an account", "`tg_test_…` and `tg_live_…`, and tokens made from them."),
        (
            Reach::Platform,
            "Keys of the platform",
            "`tg_admin_…`, for those who run the gateway. They belong to no account and see none of its payments.",
        ),
    ] {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {title}\n\n{words}\n\n| permission | meaning |");
        for role in Role::ALL {
            let _ = write!(page, " {role} |");
        }
        page.push_str("\n|---|---|");
        page.push_str(&":-:|".repeat(Role::ALL.len()));
        for rule in MATRIX.iter().filter(|rule| rule.of(reach)) {
            let _ = write!(page, "\n| `{}` | {} |", rule.name, rule.meaning);
            for role in Role::ALL {
                page.push_str(if rule.has(role) { " yes |" } else { " – |" });
            }
        }
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_page() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/roles.md");
        if std::env::var_os("TOLLGATE_REWRITE_DOCS").is_some() {
            std::fs::write(path, matrix_page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, matrix_page(), "docs/roles.md is out of date");
    }
}
