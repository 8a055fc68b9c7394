//! What has changed from version to version: the page for people, and the same as JSON.

use super::{CHANGES, VERSIONS, Version, VersionId};
use serde::Serialize;
use std::fmt::Write as _;
use utoipa::ToSchema;

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiChange)]
pub(crate) struct ChangeView {
    /// Its stable name.
    #[schema(value_type = String, example = "batch_counts")]
    name: &'static str,
    /// What it means.
    #[schema(value_type = String)]
    description: &'static str,
    /// The endpoints it touches: method and path.
    endpoints: Vec<String>,
    /// Whether the bodies of webhooks change too.
    webhooks: bool,
}

/// One version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionDescription)]
pub(crate) struct VersionView {
    /// Its name, which is its day.
    #[schema(value_type = String, example = "2026-11-22")]
    version: &'static str,
    /// The day from which on nobody should use it.
    #[schema(value_type = Option<String>, format = Date)]
    deprecated_since: Option<&'static str>,
    /// The day from which on it is answered with 410.
    #[schema(value_type = Option<String>, format = Date)]
    sunset: Option<&'static str>,
    /// What it has changed.
    changes: Vec<ChangeView>,
}

/// All versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionList)]
pub(crate) struct ChangelogView {
    /// The newest version: what this document describes.
    #[schema(value_type = String, example = "2026-11-22")]
    newest: &'static str,
    /// The versions, the newest first.
    data: Vec<VersionView>,
}

/// Everything there is to tell.
pub(crate) fn view() -> ChangelogView {
    let version = |version: &'static Version| VersionView {
        version: version.date,
        deprecated_since: version.deprecated_since,
        sunset: version.sunset,
        changes: CHANGES
            .iter()
            .filter(|change| change.since == version.date)
            .map(|change| ChangeView {
                name: change.name,
                description: change.sentence,
                endpoints: change.endpoints.iter().map(|(method, path)| format!("{method} {path}")).collect(),
                webhooks: change.webhook.is_some(),
            })
            .collect(),
    };
    ChangelogView {
        newest: VersionId::NEWEST.version().date,
        data: VERSIONS.iter().rev().map(version).collect(),
    }
}

/// `docs/changelog-api.md`.
#[must_use]
pub fn changelog_page() -> String {
    let mut page = String::from(
        "# Changelog of the API\n\n\
         What clients can notice, version by version. What is only added (a new endpoint, a new member of a reply) needs no version \
         and is not told here. How versions are pinned, asked for and left: [api-versions.md](api-versions.md).\n\n\
         This page is made from the list that the program goes by (`crates/tollgate-api/src/versions`), as is\n\
         `GET /api/v1/api_versions`; a test compares them, and `TOLLGATE_REWRITE_DOCS=1 cargo test -p tollgate-api changelog_page` writes it\n\
         anew.\n",
    );
    for version in view().data {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {}\n", version.version);
        if let Some(since) = version.deprecated_since {
            let _ = write!(page, "\nDeprecated since {since}");
            let _ = match version.sunset {
                Some(sunset) => writeln!(page, "; gone from {sunset} on."),
                None => writeln!(page, "."),
            };
        }
        if version.changes.is_empty() {
            page.push_str("\nThe first version.\n");
        }
        for change in version.changes {
            let _ = write!(page, "\n**`{}`**: {}\n\n", change.name, change.description);
            for endpoint in change.endpoints {
                let _ = writeln!(page, "- `{endpoint}`");
            }
            if change.webhooks {
                page.push_str("- the bodies of webhooks\n");
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changelog_page_is_as_the_program_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/changelog-api.md");
        if std::env::var_os("TOLLGATE_REWRITE_DOCS").is_some() {
            std::fs::write(path, changelog_page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, changelog_page(), "docs/changelog-api.md is out of date");
    }
}
