//! Who may do what: roles, permissions and the matrix between them.
//!
//! The matrix is data; `docs/roles.md` is printed from it.

mod text;

pub use text::matrix_page;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The part somebody plays in an account. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything.
    Owner,
    /// Builds and runs the integration.
    Developer,
    /// Looks after the money.
    Finance,
    /// Helps customers.
    Support,
    /// Looks on.
    ReadOnly,
    /// Examines.
    Auditor,
}

impl Role {
    /// All of them, in the order of the matrix' columns.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Developer, Self::Finance, Self::Support, Self::ReadOnly, Self::Auditor];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Developer => "developer",
            Self::Finance => "finance",
            Self::Support => "support",
            Self::ReadOnly => "read_only",
            Self::Auditor => "auditor",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What it may do for an owner of this kind.
    #[must_use]
    pub fn permissions(self, reach: Reach) -> Permissions {
        MATRIX
            .iter()
            .filter(|rule| rule.roles & self.bit() != 0 && rule.of(reach))
            .map(|rule| rule.permission)
            .collect()
    }
}

/// For whom somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// For one account.
    Account,
    /// For the operator of the gateway.
    Platform,
}

/// Something that may be allowed. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// See payments, refunds, events.
    PaymentsRead,
    /// Take, capture and cancel payments.
    PaymentsWrite,
    /// Give money back.
    RefundsWrite,
    /// Decide reviews, label fraud.
    ReviewsWrite,
    /// See customers' cards on file.
    CustomersRead,
    /// Save and delete cards on file, register passkeys.
    CustomersWrite,
    /// See policies.
    PoliciesRead,
    /// Change policies.
    PoliciesWrite,
    /// See balances and reports.
    ReportsRead,
    /// See webhook endpoints and their deliveries.
    WebhooksRead,
    /// Change webhook endpoints, repeat deliveries.
    WebhooksManage,
    /// See API keys.
    KeysRead,
    /// Make, rotate and revoke API keys.
    KeysManage,
    /// Exchange an API key for a short-lived token.
    TokensCreate,
    /// See the account itself.
    PartnerRead,
    /// Change the account itself.
    PartnerWrite,
    /// Read the audit log.
    AuditRead,
    /// See all partners.
    PartnersRead,
    /// Make, change, suspend and remove partners.
    PartnersManage,
    /// See rate limits.
    LimitsRead,
    /// Change rate limits.
    LimitsManage,
    /// Change the version of the API that an account uses.
    VersionsManage,
}

/// One row of the matrix.
#[derive(Debug)]
pub struct Rule {
    /// What is allowed.
    pub permission: Permission,
    /// Its name, as callers see it.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    account: bool,
    platform: bool,
    roles: u8,
}

impl Rule {
    /// Whether it can be had by somebody who acts for such an owner.
    #[must_use]
    pub const fn of(&self, reach: Reach) -> bool {
        match reach {
            Reach::Account => self.account,
            Reach::Platform => self.platform,
        }
    }

    /// Whether a role has it.
    #[must_use]
    pub const fn has(&self, role: Role) -> bool {
        self.roles & role.bit() != 0
    }
}

/// `O`wner, `D`eveloper, `F`inance, `S`upport, `R`ead-only, `A`uditor.
const fn rule(
    permission: Permission,
    name: &'static str,
    reach: &'static str,
    roles: &'static str,
    meaning: &'static str,
) -> Rule {
    let letters = roles.as_bytes();
    let mut bits = 0;
    let mut place = 0;
    while place < letters.len() {
        bits |= match letters[place] {
            b'O' => Role::Owner.bit(),
            b'D' => Role::Developer.bit(),
            b'F' => Role::Finance.bit(),
            b'S' => Role::Support.bit(),
            b'R' => Role::ReadOnly.bit(),
            b'A' => Role::Auditor.bit(),
            _ => 0,
        };
        place += 1;
    }
    let reach = reach.as_bytes();
    let account = reach[0] == b'a';
    let platform = reach[reach.len() - 1] == b'p';
    Rule { permission, name, meaning, account, platform, roles: bits }
}

/// Who may do what: `a` is for accounts, `p` for the platform, `ap` for both.
pub const MATRIX: &[Rule] = &[
    rule(Permission::PaymentsRead, "payments.read", "a", "ODFSRA", "See payments, refunds and events"),
    rule(Permission::PaymentsWrite, "payments.write", "a", "OD", "Take, capture and cancel payments"),
    rule(Permission::RefundsWrite, "refunds.write", "a", "ODFS", "Give money back"),
    rule(Permission::ReviewsWrite, "reviews.write", "a", "OFS", "Decide reviews, label fraud"),
    rule(Permission::CustomersRead, "customers.read", "a", "ODSRA", "See customers' cards on file"),
    rule(
        Permission::CustomersWrite,
        "customers.write",
        "a",
        "ODS",
        "Save and delete cards on file, register passkeys",
    ),
    rule(Permission::PoliciesRead, "policies.read", "a", "ODFSRA", "See fraud and routing policies"),
    rule(Permission::PoliciesWrite, "policies.write", "a", "OD", "Change fraud and routing policies"),
    rule(Permission::ReportsRead, "reports.read", "a", "ODFRA", "See balances and reports"),
    rule(
        Permission::WebhooksRead,
        "webhooks.read",
        "a",
        "ODSRA",
        "See webhook endpoints and their deliveries",
    ),
    rule(
        Permission::WebhooksManage,
        "webhooks.manage",
        "a",
        "OD",
        "Change webhook endpoints, repeat deliveries",
    ),
    rule(Permission::KeysRead, "keys.read", "ap", "ODA", "See API keys"),
    rule(Permission::KeysManage, "keys.manage", "ap", "OD", "Make, rotate and revoke API keys"),
    rule(
        Permission::TokensCreate,
        "tokens.create",
        "ap",
        "ODFSRA",
        "Exchange an API key for a short-lived token",
    ),
    rule(Permission::PartnerRead, "partner.read", "a", "ODFSRA", "See the account itself"),
    rule(Permission::PartnerWrite, "partner.write", "a", "O", "Change the account itself"),
    rule(Permission::AuditRead, "audit.read", "ap", "OA", "Read the audit log"),
    rule(Permission::PartnersRead, "partners.read", "p", "ODFSRA", "See all partners"),
    rule(
        Permission::PartnersManage,
        "partners.manage",
        "p",
        "O",
        "Make, change, suspend and remove partners",
    ),
    rule(Permission::LimitsRead, "limits.read", "p", "ODSRA", "See rate limits"),
    rule(Permission::LimitsManage, "limits.manage", "p", "OD", "Change rate limits"),
    rule(
        Permission::VersionsManage,
        "versions.manage",
        "a",
        "OD",
        "Change the version of the API that the account uses",
    ),
];

impl Permission {
    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Its name, as callers see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        MATRIX.iter().find(|rule| rule.permission == self).map_or("unknown", |rule| rule.name)
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// Whether one of them is this.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn cover(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Each of them, in the matrix' order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        MATRIX.iter().map(|rule| rule.permission).filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

/// The text names no role, or no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not known")]
pub struct UnknownName;

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownName)
    }
}

impl FromStr for Permission {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        MATRIX.iter().find(|rule| rule.name == text).map(|rule| rule.permission).ok_or(UnknownName)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_one_row_and_one_name() {
        for (place, rule) in MATRIX.iter().enumerate() {
            assert_eq!(rule.permission as usize, place, "{}", rule.name);
            assert!(MATRIX.iter().skip(place + 1).all(|other| other.name != rule.name), "{}", rule.name);
            assert!(rule.account || rule.platform, "{}", rule.name);
            assert_eq!(rule.name.parse(), Ok(rule.permission));
        }
        assert!(MATRIX.len() <= 32, "a set is 32 bits");
    }

    #[test]
    fn an_owner_has_all_and_the_lookers_on_change_nothing() {
        for reach in [Reach::Account, Reach::Platform] {
            let all: Permissions =
                MATRIX.iter().filter(|rule| rule.of(reach)).map(|rule| rule.permission).collect();
            assert_eq!(Role::Owner.permissions(reach), all);
            for role in [Role::ReadOnly, Role::Auditor] {
                for permission in role.permissions(reach).iter() {
                    let name = permission.name();
                    assert!(name.ends_with(".read") || name == "tokens.create", "{role} {name}");
                }
            }
        }
    }

    #[test]
    fn no_account_reaches_the_platform() {
        let account = Role::Owner.permissions(Reach::Account);
        let platform = Role::Owner.permissions(Reach::Platform);
        for permission in [Permission::PartnersManage, Permission::PartnersRead, Permission::LimitsManage] {
            assert!(!account.has(permission) && platform.has(permission));
        }
        assert!(!platform.has(Permission::PaymentsRead));
        assert!(!account.cover(platform) && !platform.cover(account));
    }

    #[test]
    fn sets() {
        let both: Permissions = [Permission::KeysRead, Permission::AuditRead].into_iter().collect();
        let one: Permissions = [Permission::AuditRead].into_iter().collect();
        assert!(both.cover(one) && !one.cover(both) && one.cover(Permissions::default()));
        assert_eq!(both.and(one), one);
        assert_eq!(both.iter().map(Permission::name).collect::<Vec<_>>(), ["keys.read", "audit.read"]);
    }

    #[test]
    fn what_is_stored_keeps_its_number() {
        // Stored by number: a new one goes to the end.
        let stored = |permission: Permission| permission as u8;
        assert_eq!((stored(Permission::PaymentsRead), stored(Permission::LimitsManage)), (0, 20));
        let roles: Vec<u8> = Role::ALL.into_iter().map(|role| role as u8).collect();
        assert_eq!(roles, [0, 1, 2, 3, 4, 5]);
    }
}
