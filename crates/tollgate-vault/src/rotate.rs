//! Rotation while the vault serves.
//!
//! *Master key*: every wrapped key is unwrapped by the old and wrapped by the new master key; cards
//! are not touched. Both are accepted until it is done.
//!
//! *Data keys*: every merchant gets a new version of its data key, then every card is encrypted with
//! it, then the old versions are destroyed. A card's row is replaced whole, so that there is no moment
//! at which it cannot be read.
//!
//! Both go on where they stood when they are started again after being cut off.

use crate::audit::{AuditAction, AuditPurpose, AuditResult, Entry};
use crate::disk::{Change, DiskError, Row, Table, WriteError};
use crate::envelope::Key;
use crate::keyring::master_row;
use crate::local::{LocalVault, Shared};
use crate::master::{MasterError, MasterKey};
use crate::open::CHECK;
use crate::rows::{
    CardRow, META_AUDIT_KEY, META_FINGERPRINT_KEY, META_MASTER, META_ROTATION, MerchantRow, WrappedRow,
    after, data_key_use, decode, encode, own_key_use, owner_and_id, versioned,
};
use crate::{CardToken, VaultError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tollgate_core::id::MerchantId;

/// Rows worked on at a time: others wait for no more than these.
const PAGE: usize = 128;

/// Why a rotation did not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// Another rotation is under way in this process.
    #[error("another rotation is under way")]
    Busy,
    /// A rotation to another master key has begun and must be ended first.
    #[error("a rotation to the master key {0} is under way; end that one first")]
    OtherMaster(String),
    /// The vault is under this master key already.
    #[error("the vault is under the master key {0} already")]
    SameMaster(String),
    /// There is no rotation to go on with.
    #[error("no rotation is under way")]
    NoneBegun,
    /// It was told to stop; started again, it goes on where it stood.
    #[error("the rotation was stopped; it can be taken up again")]
    Stopped,
    /// A key could not be unwrapped by the old master key: it stays under it.
    #[error("{0} keys could not be unwrapped by the old master key; both master keys are still needed")]
    KeysLeft(u64),
    /// The new master key does not work.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<DiskError> for RotationError {
    fn from(error: DiskError) -> Self {
        Self::Vault(error.into())
    }
}

impl From<WriteError> for RotationError {
    fn from(error: WriteError) -> Self {
        Self::Vault(error.into())
    }
}

/// What a rotation does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationPhase {
    /// Wraps keys by the new master key.
    Rewrap,
    /// Makes new data keys.
    NewKeys,
    /// Encrypts cards with the new data keys.
    Recrypt,
    /// Destroys the old data keys.
    Destroy,
    /// It is done.
    Done,
}

/// How far a rotation is, counted since it was last taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationProgress {
    /// What it does at the moment.
    pub phase: RotationPhase,
    /// Keys wrapped again, or made.
    pub keys: u64,
    /// Cards looked at.
    pub cards: u64,
    /// Cards encrypted again.
    pub cards_recrypted: u64,
    /// Cards that could not be decrypted. If there are any, the old keys are not destroyed.
    pub cards_unreadable: u64,
}

impl RotationProgress {
    const fn new(phase: RotationPhase) -> Self {
        Self { phase, keys: 0, cards: 0, cards_recrypted: 0, cards_unreadable: 0 }
    }
}

/// What is told of the progress; it may stop the rotation.
pub type Watch<'a> = &'a mut (dyn FnMut(&RotationProgress) -> ControlFlow<()> + Send);

/// Where a data-key rotation stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RotationRow {
    /// Counts rotations; merchants' rows name the one that made their version.
    number: u64,
    stage: Stage,
    unreadable: u64,
}

/// A stage, and the first key of its table that is not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stage {
    NewKeys(Vec<u8>),
    Recrypt(Vec<u8>),
    Destroy(Vec<u8>),
}

fn entry(action: AuditAction, purpose: AuditPurpose, at_ms: u64) -> Entry {
    Entry { at_ms, merchant_id: None, token: None, action, purpose, result: AuditResult::Done }
}

impl LocalVault {
    /// The rotation under way in this process, or the last one that was.
    pub fn rotation(&self) -> Option<RotationProgress> {
        *self.progress.lock()
    }

    fn tell(&self, progress: &RotationProgress, watch: Watch<'_>) -> Result<(), RotationError> {
        *self.progress.lock() = Some(*progress);
        match watch(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(RotationError::Stopped),
        }
    }

    /// Does changes until each is done: those that lost a race are made anew. `make` gives none for
    /// what needs no change any more.
    fn change_until_done<T>(
        &self,
        mut items: Vec<T>,
        mut make: impl FnMut(&T) -> Result<Option<Change>, VaultError>,
    ) -> Result<(), VaultError> {
        while !items.is_empty() {
            let mut changes = Vec::with_capacity(items.len());
            let mut pending = Vec::with_capacity(items.len());
            for item in items {
                if let Some(change) = make(&item)? {
                    changes.push(change);
                    pending.push(item);
                }
            }
            if changes.is_empty() {
                return Ok(());
            }
            let done = self.writer()?.change_all(changes)?;
            items = pending.into_iter().zip(done).filter(|(_, done)| !done).map(|(item, _)| item).collect();
        }
        Ok(())
    }

    /// Brings everything under another master key, or goes on with that. Takes long: not for where futures
    /// run. The old master key may be destroyed when this returns without an error.
    ///
    /// # Errors
    /// [`RotationError`]; started again with the same key it goes on.
    pub fn rotate_master(
        &self,
        new: Arc<dyn MasterKey>,
        now_ms: u64,
        watch: Watch<'_>,
    ) -> Result<RotationProgress, RotationError> {
        let _one = self.rotating.try_lock().ok_or(RotationError::Busy)?;
        let shared = &self.shared;
        let new_id = new.id().to_owned();
        let (bytes, mut row) = master_row(&shared.tables)?;
        match &row.next {
            Some((next, _)) if *next != new_id => return Err(RotationError::OtherMaster(next.clone())),
            Some((_, check)) => {
                new.unwrap(check, &own_key_use(CHECK))?;
                shared.keyring.add_master(new);
            }
            None if row.current == new_id => return Err(RotationError::SameMaster(new_id)),
            None => {
                // It must be able to unwrap what it wraps before anything rests on it.
                let check = new.wrap(&Key::random(), &own_key_use(CHECK))?;
                new.unwrap(&check, &own_key_use(CHECK))?;
                shared.keyring.add_master(new);
                row.next = Some((new_id.clone(), check));
                let purpose = AuditPurpose::Master(new_id.clone());
                let change = Change::default()
                    .rests_on(Table::Meta, META_MASTER, Some(bytes))
                    .puts(Table::Meta, META_MASTER, encode(&row))
                    .records(entry(AuditAction::RotateMaster, purpose, now_ms));
                if self.writer()?.change_all(vec![change])? != [true] {
                    return Err(RotationError::Busy);
                }
            }
        }
        let mut progress = RotationProgress::new(RotationPhase::Rewrap);
        let mut left = 0;
        for name in [META_AUDIT_KEY, META_FINGERPRINT_KEY] {
            self.rewrap(Table::Meta, vec![(name.to_vec(), own_key_use(name))], &new_id, &mut left)?;
            progress.keys += 1;
        }
        let mut from = Vec::new();
        loop {
            self.tell(&progress, watch)?;
            let page = shared.tables.page(Table::Keys, &[], &from, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = after(last);
            let keys: Vec<_> =
                page.into_iter().filter_map(|(key, _)| Some((key.clone(), key_use(&key)?))).collect();
            progress.keys += u64::try_from(keys.len()).unwrap_or(0);
            self.rewrap(Table::Keys, keys, &new_id, &mut left)?;
        }
        if left > 0 {
            return Err(RotationError::KeysLeft(left));
        }
        self.finish_master(&new_id, now_ms)?;
        progress.phase = RotationPhase::Done;
        *self.progress.lock() = Some(progress);
        Ok(progress)
    }

    /// Wraps keys by another master key. Counts those that the old one does not unwrap.
    fn rewrap(
        &self,
        table: Table,
        keys: Vec<(Vec<u8>, Vec<u8>)>,
        new_id: &str,
        left: &mut u64,
    ) -> Result<(), VaultError> {
        let keyring = &self.shared.keyring;
        self.change_until_done(keys, |(key, used_for)| {
            let Some(bytes) = self.shared.tables.get(table, key)? else { return Ok(None) };
            let Ok(row) = decode::<WrappedRow>(&bytes) else {
                *left += 1;
                return Ok(None);
            };
            if row.master == new_id {
                return Ok(None);
            }
            let plain = match keyring.unwrap(&row, used_for) {
                Ok(plain) => plain,
                Err(MasterError::Refused) => {
                    *left += 1;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let wrapped = keyring.wrap(new_id, &plain, used_for)?;
            let change = Change::default().rests_on(table, key.clone(), Some(bytes));
            Ok(Some(change.puts(table, key.clone(), encode(&wrapped))))
        })
    }

    /// The new master key is the only one from here on.
    fn finish_master(&self, new_id: &str, now_ms: u64) -> Result<(), RotationError> {
        let shared = &self.shared;
        let (bytes, mut row) = master_row(&shared.tables)?;
        let (current, check) = row.next.take().ok_or(RotationError::NoneBegun)?;
        (row.current, row.check) = (current, check);
        let change = Change::default()
            .rests_on(Table::Meta, META_MASTER, Some(bytes))
            .puts(Table::Meta, META_MASTER, encode(&row))
            .records(entry(AuditAction::RotateMasterDone, AuditPurpose::Master(new_id.to_owned()), now_ms));
        if self.writer()?.change_all(vec![change])? != [true] {
            return Err(RotationError::Busy);
        }
        shared.keyring.keep_master(new_id);
        for table in [Table::Keys, Table::Meta] {
            shared.tables.compact(table)?;
        }
        Ok(())
    }

    /// Gives every merchant a new data key, encrypts every card with it and destroys the old keys; or goes
    /// on with that. Takes long: not for where futures run.
    ///
    /// # Errors
    /// [`RotationError`]; started again it goes on.
    pub fn rotate_data(&self, now_ms: u64, watch: Watch<'_>) -> Result<RotationProgress, RotationError> {
        let _one = self.rotating.try_lock().ok_or(RotationError::Busy)?;
        let tables = &self.shared.tables;
        let mut state = match tables.get(Table::Meta, META_ROTATION)? {
            Some(bytes) => decode(&bytes).map_err(VaultError::from)?,
            None => {
                let state =
                    RotationRow { number: rand::random(), stage: Stage::NewKeys(Vec::new()), unreadable: 0 };
                self.stand(&state, Some(entry(AuditAction::RotateData, AuditPurpose::None, now_ms)))?;
                state
            }
        };
        let mut progress = RotationProgress::new(RotationPhase::NewKeys);
        progress.cards_unreadable = state.unreadable;
        loop {
            state.stage = match &state.stage {
                Stage::NewKeys(from) => {
                    progress.phase = RotationPhase::NewKeys;
                    self.tell(&progress, watch)?;
                    match self.new_keys_page(from, state.number, &mut progress)? {
                        Some(next) => Stage::NewKeys(next),
                        None => Stage::Recrypt(Vec::new()),
                    }
                }
                Stage::Recrypt(from) => {
                    progress.phase = RotationPhase::Recrypt;
                    self.tell(&progress, watch)?;
                    match self.recrypt_page(from, now_ms, &mut progress)? {
                        Some(next) => Stage::Recrypt(next),
                        None => Stage::Destroy(Vec::new()),
                    }
                }
                // The key of a card that cannot be decrypted may yet be needed to find out why.
                Stage::Destroy(_) if state.unreadable > 0 => break,
                Stage::Destroy(from) => {
                    progress.phase = RotationPhase::Destroy;
                    self.tell(&progress, watch)?;
                    match self.destroy_page(from)? {
                        Some(next) => Stage::Destroy(next),
                        None => break,
                    }
                }
            };
            state.unreadable = progress.cards_unreadable;
            self.stand(&state, None)?;
        }
        let done = Change::default().removes(Table::Meta, META_ROTATION).records(entry(
            AuditAction::RotateDataDone,
            AuditPurpose::None,
            now_ms,
        ));
        self.writer()?.change_all(vec![done])?;
        tables.compact(Table::Keys)?;
        progress.phase = RotationPhase::Done;
        *self.progress.lock() = Some(progress);
        Ok(progress)
    }

    /// Writes down where it stands.
    fn stand(&self, state: &RotationRow, record: Option<Entry>) -> Result<(), VaultError> {
        let mut change = Change::default().puts(Table::Meta, META_ROTATION, encode(state));
        if let Some(record) = record {
            change = change.records(record);
        }
        self.writer()?.change_all(vec![change])?;
        Ok(())
    }

    /// New data keys for a page of merchants; gives where the next page begins.
    fn new_keys_page(
        &self,
        from: &[u8],
        number: u64,
        progress: &mut RotationProgress,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let shared = &self.shared;
        let page = shared.tables.page(Table::Merchants, &[], from, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = after(last);
        progress.keys += u64::try_from(page.len()).unwrap_or(0);
        self.change_until_done(merchants_of(&page), |merchant_id| {
            let (bytes, row) = shared.merchant(*merchant_id)?;
            let Some(row) = row.filter(|row| row.shredded_at_ms.is_none() && row.rotation != number) else {
                return Ok(None);
            };
            let (master_bytes, master) = master_row(&shared.tables)?;
            let version = row.version.checked_add(1).ok_or(VaultError::Unavailable)?;
            let wrapped =
                shared.keyring.wrap(master.wraps(), &Key::random(), &data_key_use(*merchant_id, version))?;
            let row = MerchantRow { version, rotation: number, ..row };
            let change = Change::default()
                .rests_on(Table::Meta, META_MASTER, Some(master_bytes))
                .rests_on(Table::Merchants, merchant_id.to_bytes(), bytes)
                .puts(Table::Keys, versioned(*merchant_id, version), encode(&wrapped))
                .puts(Table::Merchants, merchant_id.to_bytes(), encode(&row));
            Ok(Some(change))
        })?;
        Ok(Some(next))
    }

    /// Encrypts a page of cards again; gives where the next page begins.
    fn recrypt_page(
        &self,
        from: &[u8],
        now_ms: u64,
        progress: &mut RotationProgress,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let shared = &self.shared;
        let page = shared.tables.page(Table::Cards, &[], from, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = after(last);
        progress.cards += u64::try_from(page.len()).unwrap_or(0);
        let mut versions = HashMap::new();
        let (mut recrypted, mut unreadable) = (0, 0);
        let keys = page.into_iter().map(|(key, _)| key).collect();
        self.change_until_done(keys, |place: &Vec<u8>| {
            let Some((merchant_id, id)) = owner_and_id(place) else { return Ok(None) };
            let token = CardToken::from_bytes(id);
            // What it is now: it may have been stored anew or deleted since the page was read.
            let Some(bytes) = shared.tables.get(Table::Cards, place)? else { return Ok(None) };
            let version = match versions.get(&merchant_id) {
                Some(version) => *version,
                None => *versions.entry(merchant_id).or_insert(current_version(shared, merchant_id)?),
            };
            let Some(version) = version else { return Ok(None) };
            match recrypt(shared, merchant_id, token, &bytes, version) {
                Ok(None) => Ok(None),
                Ok(Some(row)) => {
                    recrypted += 1;
                    let change = Change::default().rests_on(Table::Cards, place.clone(), Some(bytes));
                    Ok(Some(change.puts(Table::Cards, place.clone(), encode(&row))))
                }
                Err(VaultError::Unreadable) if current_version(shared, merchant_id)?.is_none() => Ok(None),
                Err(VaultError::Unreadable) => {
                    unreadable += 1;
                    let record = Entry {
                        merchant_id: Some(merchant_id),
                        token: Some(token),
                        result: AuditResult::Unreadable,
                        ..entry(AuditAction::Recrypt, AuditPurpose::None, now_ms)
                    };
                    Ok(Some(Change::record(record)))
                }
                Err(error) => Err(error),
            }
        })?;
        progress.cards_recrypted += recrypted;
        progress.cards_unreadable += unreadable;
        Ok(Some(next))
    }

    /// Destroys the old data keys of a page of merchants; gives where the next page begins.
    fn destroy_page(&self, from: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let shared = &self.shared;
        let page = shared.tables.page(Table::Merchants, &[], from, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = after(last);
        let mut changes = Vec::new();
        for merchant_id in merchants_of(&page) {
            let Some(version) = current_version(shared, merchant_id)? else { continue };
            for (key, _) in shared.tables.page(Table::Keys, &merchant_id.to_bytes(), &[], usize::MAX)? {
                if key < versioned(merchant_id, version) {
                    changes.push(Change::default().removes(Table::Keys, key));
                }
            }
            shared.keyring.forget_below(merchant_id, version);
        }
        self.writer()?.change_all(changes)?;
        Ok(Some(next))
    }
}

/// What the key under a key of `keys` is bound to.
fn key_use(key: &[u8]) -> Option<Vec<u8>> {
    let (merchant, version) = key.split_first_chunk::<16>()?;
    let version = u32::from_be_bytes(version.try_into().ok()?);
    Some(data_key_use(MerchantId::from_bytes(*merchant), version))
}

fn merchants_of(page: &[Row]) -> Vec<MerchantId> {
    page.iter().filter_map(|(key, _)| Some(MerchantId::from_bytes(key.as_slice().try_into().ok()?))).collect()
}

/// The version of a merchant's data key; none if there is none or it was destroyed.
fn current_version(shared: &Shared, merchant_id: MerchantId) -> Result<Option<u32>, VaultError> {
    let (_, row) = shared.merchant(merchant_id)?;
    Ok(row.filter(|row| row.shredded_at_ms.is_none()).map(|row| row.version))
}

/// The card of a row under another version of its merchant's key; none if it is already.
fn recrypt(
    shared: &Shared,
    merchant_id: MerchantId,
    token: CardToken,
    bytes: &[u8],
    version: u32,
) -> Result<Option<CardRow>, VaultError> {
    let row: CardRow = decode(bytes)?;
    if row.key_version >= version {
        return Ok(None);
    }
    let key = |version| {
        let key = shared.keyring.data_key(&shared.tables, merchant_id, version)?;
        key.ok_or(VaultError::Unreadable)
    };
    let card = row.open(merchant_id, token, &*key(row.key_version)?).map_err(|_| VaultError::Unreadable)?;
    let new_key = key(version)?;
    Ok(Some(CardRow::seal(merchant_id, token, (version, &new_key), row.clear, &card)))
}
