//! Which merchants' payments are real: what is learnt of live and of sandbox payments is kept apart.

use parking_lot::RwLock;
use std::collections::HashMap;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Mode;

/// Most merchants whose mode is kept ready.
const MODES_MAX: usize = 100_000;

/// The modes of the merchants that were seen.
#[derive(Debug, Default)]
pub(crate) struct Modes(RwLock<HashMap<MerchantId, Mode>>);

impl Modes {
    /// Remembers a merchant's mode.
    pub(crate) fn learn(&self, merchant_id: MerchantId, mode: Mode) {
        if self.of(merchant_id) == Some(mode) {
            return;
        }
        let mut modes = self.0.write();
        if modes.len() >= MODES_MAX {
            modes.clear();
        }
        modes.insert(merchant_id, mode);
    }

    /// A merchant's mode, if it was seen.
    pub(crate) fn of(&self, merchant_id: MerchantId) -> Option<Mode> {
        self.0.read().get(&merchant_id).copied()
    }
}
