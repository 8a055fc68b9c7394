//! The vault in this process: cards held in memory, cards stored encrypted in a folder.

use crate::audit::{
    AuditAction, AuditFault, AuditPurpose, AuditRecord, AuditResult, Chain, Entry, record_of,
};
use crate::disk::{Change, DiskError, Table, Tables, WriteError, Writer};
use crate::envelope::Key;
use crate::held::{HeldCards, fingerprint};
use crate::keyring::{Keyring, master_row};
use crate::open::{self, OpenError, VaultOptions};
use crate::rotate::RotationProgress;
use crate::rows::{self, CardClear, CardRow, META_MASTER, MerchantRow, decode, encode, owned, versioned};
use crate::secrets::KEY_VERSION;
use crate::{CardOnFile, CardToken, CardVault, Fingerprint, Owner, Proof, ProofToken, Purpose, VaultError};
use async_trait::async_trait;
use fjall::Readable;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use tollgate_core::card::CardSecret;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::CardSummary;
use zeroize::Zeroizing;

/// How often something is tried again whose ground moved under it: each time somebody else got ahead.
const TRIES_MAX: usize = 32;

/// Tries until nobody gets ahead.
macro_rules! tries {
    ($attempt:expr) => {
        async {
            for _ in 0..TRIES_MAX {
                if let Some(done) = $attempt? {
                    return Ok(done);
                }
            }
            Err(VaultError::Unavailable)
        }
        .await
    };
}

/// Rows of a destroyed merchant that are removed at a time.
const CLEAR_PAGE: usize = 256;

/// A vault in this process.
pub struct LocalVault {
    pub(crate) held: HeldCards,
    pub(crate) shared: Arc<Shared>,
    pub(crate) progress: Mutex<Option<RotationProgress>>,
    /// Held by whoever rotates: one rotation at a time.
    pub(crate) rotating: Mutex<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
    writer: Option<Writer>,
}

/// What background work needs of a vault.
pub(crate) struct Shared {
    pub(crate) tables: Arc<Tables>,
    pub(crate) keyring: Keyring,
    fingerprint_key: Key,
    audit_key: Key,
}

impl fmt::Debug for LocalVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalVault").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// How a vault stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultStatus {
    /// The master key it is under.
    pub master: String,
    /// The master key it is being brought under.
    pub master_next: Option<String>,
    /// Whether a rotation of the data keys is under way.
    pub rotating_data: bool,
    /// Merchants that have stored cards, or whose cards were destroyed.
    pub merchants: usize,
    /// Cards stored, about.
    pub cards: usize,
    /// The last audit record's sequence.
    pub audit_sequence: u64,
}

impl From<WriteError> for VaultError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::Unavailable,
            WriteError::Disk(error) => error.into(),
        }
    }
}

/// A merchant's row, and its bytes for changes to rest on.
pub(crate) type Merchant = (Option<Vec<u8>>, Option<MerchantRow>);

impl Shared {
    pub(crate) fn merchant(&self, merchant_id: MerchantId) -> Result<Merchant, VaultError> {
        let bytes = self.tables.get(Table::Merchants, &merchant_id.to_bytes())?;
        let row = bytes.as_deref().map(decode).transpose()?;
        Ok((bytes, row))
    }
}

/// The merchant's row, unless its cards have been destroyed.
pub(crate) fn not_shredded((bytes, row): Merchant) -> Result<Merchant, VaultError> {
    match row {
        Some(MerchantRow { shredded_at_ms: Some(_), .. }) => Err(VaultError::Shredded),
        row => Ok((bytes, row)),
    }
}

impl LocalVault {
    /// Opens or makes a vault. Reads files and may ask a token or a program: not for where futures run.
    ///
    /// # Errors
    /// [`OpenError`], in words for a person.
    pub fn open(options: VaultOptions) -> Result<Arc<Self>, OpenError> {
        let opened = open::open(&options)?;
        let (writer, thread) =
            Writer::start(Arc::clone(&opened.tables), opened.chain, options.queue_length_max)
                .map_err(|error| OpenError::Store(error.to_string()))?;
        Ok(Arc::new(Self {
            held: HeldCards::new(options.held_max, options.hold_ms),
            shared: Arc::new(Shared {
                tables: opened.tables,
                keyring: opened.keyring,
                fingerprint_key: opened.fingerprint_key,
                audit_key: opened.audit_key,
            }),
            progress: Mutex::new(None),
            rotating: Mutex::new(()),
            thread: Mutex::new(Some(thread)),
            writer: Some(writer),
        }))
    }

    pub(crate) fn writer(&self) -> Result<&Writer, VaultError> {
        self.writer.as_ref().ok_or(VaultError::Unavailable)
    }

    /// Wipes what was held for longer than it may. To be called now and then.
    pub fn sweep(&self, now_ms: u64) {
        self.held.sweep(now_ms);
    }

    /// How it stands. Counts the merchants.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub fn status(&self) -> Result<VaultStatus, VaultError> {
        let tables = &self.shared.tables;
        let (_, master) = master_row(tables)?;
        let audit_sequence = match tables.table(Table::Audit).last_key_value() {
            None => 0,
            Some(last) => {
                let key = last.key().map_err(DiskError::from)?;
                u64::from_be_bytes(key.as_ref().try_into().map_err(|_| VaultError::Unreadable)?)
            }
        };
        Ok(VaultStatus {
            master: master.current,
            master_next: master.next.map(|(id, _)| id),
            rotating_data: tables.get(Table::Meta, rows::META_ROTATION)?.is_some(),
            merchants: tables.table(Table::Merchants).len().map_err(DiskError::from)?,
            cards: tables.table(Table::Cards).len().map_err(DiskError::from)?,
            audit_sequence,
        })
    }

    /// The audit records after a sequence, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`]; [`VaultError::Unreadable`] if a record was altered.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, VaultError> {
        let from = after.saturating_add(1).to_be_bytes();
        let page = self.shared.tables.page(Table::Audit, &[], &from, limit)?;
        page.iter().map(|(_, row)| record_of(row).ok_or(VaultError::Unreadable)).collect()
    }

    /// Reads the audit trail from its start and checks every record, its place and the end; gives the
    /// number of records.
    ///
    /// # Errors
    /// [`AuditFault`]: what is wrong first, and where.
    pub fn verify_audit(&self) -> Result<u64, AuditFault> {
        let store = |error: fjall::Error| AuditFault::Store(error.to_string());
        let tables = &self.shared.tables;
        let snapshot = tables.database.snapshot();
        let head = snapshot.get(tables.table(Table::Meta), rows::META_AUDIT_HEAD).map_err(store)?;
        let key = &self.shared.audit_key;
        let end = Chain::of_head(key.clone(), &head.ok_or(AuditFault::Head)?)?;
        let mut chain = Chain::new(key.clone());
        for guard in snapshot.iter(tables.table(Table::Audit)) {
            let (key, row) = guard.into_inner().map_err(store)?;
            chain.follow(&key, &row)?;
        }
        chain.ends_at(&end)
    }

    /// A data key, off the threads that run futures unless it is at hand.
    pub(crate) async fn data_key(
        &self,
        merchant_id: MerchantId,
        version: u32,
    ) -> Result<Option<Arc<Key>>, VaultError> {
        if let Some(key) = self.shared.keyring.cached(merchant_id, version) {
            return Ok(Some(key));
        }
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.keyring.data_key(&shared.tables, merchant_id, version))
            .await
            .map_err(|_| VaultError::Unavailable)?
    }

    /// Makes a merchant's first data key; nothing if somebody else made it meanwhile.
    async fn make_data_key(&self, merchant_id: MerchantId, before: Merchant) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || {
            let (master_bytes, master) = master_row(&shared.tables)?;
            let used_for = rows::data_key_use(merchant_id, 1);
            let wrapped = shared.keyring.wrap(master.wraps(), &Key::random(), &used_for)?;
            Ok::<_, VaultError>((master_bytes, wrapped))
        });
        let (master_bytes, wrapped) = made.await.map_err(|_| VaultError::Unavailable)??;
        let row = MerchantRow { version: 1, rotation: 0, shredded_at_ms: None };
        let change = Change::default()
            .rests_on(Table::Meta, META_MASTER, Some(master_bytes))
            .rests_on(Table::Merchants, merchant_id.to_bytes(), before.0)
            .puts(Table::Keys, versioned(merchant_id, 1), encode(&wrapped))
            .puts(Table::Merchants, merchant_id.to_bytes(), encode(&row));
        self.writer()?.change(change).await?;
        Ok(())
    }

    /// Puts on record what failed.
    async fn settled<T>(&self, entry: Entry, done: Result<T, VaultError>) -> Result<T, VaultError> {
        if let Err(failure) = done {
            let entry = Entry { result: AuditResult::from(failure), ..entry };
            // A store that does not answer cannot be told so; the caller hears of the failure either way.
            if let Err(error) = self.writer()?.change(Change::record(entry)).await {
                tracing::error!(%error, "a failure could not be put on record");
            }
        }
        done
    }

    /// One attempt to store a card; none if somebody else got ahead.
    async fn try_store(
        &self,
        (merchant_id, owner): (MerchantId, Owner),
        card: &CardSecret,
        print: Fingerprint,
        entry: &Entry,
    ) -> Result<Option<CardOnFile>, VaultError> {
        let tables = &self.shared.tables;
        let (merchant_bytes, merchant) = not_shredded(self.shared.merchant(merchant_id)?)?;
        let Some(MerchantRow { version, .. }) = merchant.filter(|row| row.version > 0) else {
            self.make_data_key(merchant_id, (merchant_bytes, merchant)).await?;
            return Ok(None);
        };
        let Some(key) = self.data_key(merchant_id, version).await? else {
            // Replaced or destroyed since the row was read; otherwise it should be there.
            let moved = self.shared.merchant(merchant_id)?.0 != merchant_bytes;
            return if moved { Ok(None) } else { Err(VaultError::Unreadable) };
        };
        let index = owned(merchant_id, owner.index(print));
        let known = tables.get(Table::Fingerprints, &index)?;
        let token = match known.as_deref().map(<[u8; 16]>::try_from) {
            None => CardToken::from_random(rand::random()),
            Some(Ok(bytes)) => CardToken::from_bytes(bytes),
            Some(Err(_)) => return Err(VaultError::Unreadable),
        };
        let place = owned(merchant_id, token.to_bytes());
        let old = tables.get(Table::Cards, &place)?;
        let created_at_ms = match &old {
            None => entry.at_ms,
            Some(bytes) => decode::<CardRow>(bytes)?.clear.created_at_ms,
        };
        let summary = CardSummary::of(card);
        let clear = CardClear {
            summary: summary.clone(),
            fingerprint: print,
            owner,
            created_at_ms,
            updated_at_ms: entry.at_ms,
        };
        let row = CardRow::seal(merchant_id, token, (version, &key), clear, card);
        let change = Change::default()
            .rests_on(Table::Merchants, merchant_id.to_bytes(), merchant_bytes)
            .rests_on(Table::Fingerprints, index.clone(), known)
            .rests_on(Table::Cards, place.clone(), old)
            .puts(Table::Fingerprints, index, token.to_bytes().to_vec())
            .puts(Table::Cards, place, encode(&row))
            .records(Entry { token: Some(token), ..entry.clone() });
        let done = self.writer()?.change(change).await?;
        Ok(done.then_some(CardOnFile { token, summary, fingerprint: print, stored: true }))
    }

    /// One attempt to read a stored card and put that on record; none if somebody else got ahead.
    async fn try_withdraw(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        entry: &Entry,
    ) -> Result<Option<CardSecret>, VaultError> {
        let tables = &self.shared.tables;
        let (merchant_bytes, _) = not_shredded(self.shared.merchant(merchant_id)?)?;
        let place = owned(merchant_id, token.to_bytes());
        let bytes = tables.get(Table::Cards, &place)?.ok_or(VaultError::NotFound)?;
        let row: CardRow = decode(&bytes)?;
        let key = match self.data_key(merchant_id, row.key_version).await? {
            Some(key) => key,
            // Either a rotation has just replaced this row and destroyed its key, or the key is gone.
            None if tables.get(Table::Cards, &place)?.as_ref() != Some(&bytes) => return Ok(None),
            None => {
                not_shredded(self.shared.merchant(merchant_id)?)?;
                return Err(VaultError::Unreadable);
            }
        };
        let card = row.open(merchant_id, token, &key).map_err(|_| VaultError::Unreadable)?;
        let change = Change::default()
            .rests_on(Table::Merchants, merchant_id.to_bytes(), merchant_bytes)
            .rests_on(Table::Cards, place, Some(bytes))
            .records(entry.clone());
        Ok(self.writer()?.change(change).await?.then_some(card))
    }

    async fn try_delete(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        entry: &Entry,
    ) -> Result<Option<()>, VaultError> {
        not_shredded(self.shared.merchant(merchant_id)?)?;
        let place = owned(merchant_id, token.to_bytes());
        let bytes = self.shared.tables.get(Table::Cards, &place)?.ok_or(VaultError::NotFound)?;
        let mut change = Change::default()
            .rests_on(Table::Cards, place.clone(), Some(bytes.clone()))
            .removes(Table::Cards, place)
            .records(entry.clone());
        // A row that does not even decode can be deleted too; its fingerprint then stays behind.
        if let Ok(row) = decode::<CardRow>(&bytes) {
            change = change.removes(
                Table::Fingerprints,
                owned(merchant_id, row.clear.owner.index(row.clear.fingerprint)),
            );
        }
        Ok(self.writer()?.change(change).await?.then_some(()))
    }

    /// One attempt to destroy a merchant's keys; none if somebody else got ahead.
    async fn try_shred(&self, merchant_id: MerchantId, entry: &Entry) -> Result<Option<()>, VaultError> {
        let (bytes, merchant) = self.shared.merchant(merchant_id)?;
        let mut row = merchant.unwrap_or(MerchantRow { version: 0, rotation: 0, shredded_at_ms: None });
        if row.shredded_at_ms.is_some() {
            return Ok(Some(()));
        }
        row.shredded_at_ms = Some(entry.at_ms);
        let mut change = Change::default()
            .rests_on(Table::Merchants, merchant_id.to_bytes(), bytes)
            .puts(Table::Merchants, merchant_id.to_bytes(), encode(&row))
            .records(entry.clone());
        // There are two versions at most while a rotation is under way; new ones rest on the row above.
        let prefix = merchant_id.to_bytes();
        for (key, _) in self.shared.tables.page(Table::Keys, &prefix, &[], usize::MAX)? {
            change = change.removes(Table::Keys, key);
        }
        Ok(self.writer()?.change(change).await?.then_some(()))
    }

    /// Removes the rows of a merchant whose keys are destroyed, and the keys from the files.
    async fn clear_shredded(&self, merchant_id: MerchantId) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.shared);
        let writer = self.writer()?.clone();
        let cleared = tokio::task::spawn_blocking(move || {
            for table in [Table::Cards, Table::Fingerprints] {
                loop {
                    let page = shared.tables.page(table, &merchant_id.to_bytes(), &[], CLEAR_PAGE)?;
                    if page.is_empty() {
                        break;
                    }
                    let changes = page.into_iter().map(|(key, _)| Change::default().removes(table, key));
                    writer.change_all(changes.collect())?;
                }
            }
            shared.tables.compact(Table::Keys)?;
            Ok::<_, VaultError>(())
        });
        cleared.await.map_err(|_| VaultError::Unavailable)?
    }
}

impl Drop for LocalVault {
    /// Waits until everything queued is durable.
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn entry(
    action: AuditAction,
    merchant_id: MerchantId,
    token: Option<CardToken>,
    payment_id: Option<PaymentId>,
    at_ms: u64,
) -> Entry {
    Entry {
        at_ms,
        merchant_id: Some(merchant_id),
        token,
        action,
        purpose: payment_id.map_or(AuditPurpose::None, AuditPurpose::Charge),
        result: AuditResult::Done,
    }
}

#[async_trait]
impl CardVault for LocalVault {
    async fn hold(
        &self,
        merchant_id: MerchantId,
        card: CardSecret,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        let print = fingerprint(self.shared.fingerprint_key.expose(), &card);
        self.held.put(merchant_id, card, print, now_ms)
    }

    async fn hold_proof(
        &self,
        merchant_id: MerchantId,
        proof: Proof,
        now_ms: u64,
    ) -> Result<ProofToken, VaultError> {
        self.held.put_proof(merchant_id, proof, now_ms)
    }

    async fn store(
        &self,
        merchant_id: MerchantId,
        owner: Owner,
        held: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        let entry = entry(AuditAction::Store, merchant_id, Some(held), None, now_ms);
        let stored = tries!({
            let (card, print) = self.held.copy(merchant_id, held, now_ms)?;
            self.try_store((merchant_id, owner), &card, print, &entry).await
        });
        self.settled(entry, stored).await
    }

    async fn describe(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        match self.held.describe(merchant_id, token, now_ms) {
            Err(VaultError::NotFound) => {}
            held => return held,
        }
        not_shredded(self.shared.merchant(merchant_id)?)?;
        let place = owned(merchant_id, token.to_bytes());
        let bytes = self.shared.tables.get(Table::Cards, &place)?.ok_or(VaultError::NotFound)?;
        let row: CardRow = decode(&bytes)?;
        let CardClear { summary, fingerprint, .. } = row.clear;
        Ok(CardOnFile { token, summary, fingerprint, stored: true })
    }

    async fn withdraw(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        proof: Option<ProofToken>,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<CardSecret, VaultError> {
        let Purpose::Charge(payment_id) = purpose;
        let make = |action| entry(action, merchant_id, Some(token), Some(payment_id), now_ms);
        let proof = proof.map(|proof| self.held.withdraw_proof(merchant_id, proof, payment_id, now_ms));
        let proof = match proof {
            None => Proof::default(),
            Some(Ok(proof)) => proof,
            Some(Err(error)) => {
                return self.settled(make(AuditAction::Withdraw), Err(error)).await;
            }
        };
        let mut card = match self.held.withdraw(merchant_id, token, payment_id, now_ms) {
            Ok(card) => {
                // Durable a moment later: a held card is never stored, and its payment is.
                self.writer()?.record(make(AuditAction::WithdrawHeld))?;
                card
            }
            Err(_) => {
                let entry = make(AuditAction::Withdraw);
                let taken = tries!(self.try_withdraw(merchant_id, token, &entry).await);
                self.settled(entry, taken).await?
            }
        };
        proof.add_to(&mut card);
        Ok(card)
    }

    async fn release(&self, merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken>) {
        self.held.release(merchant_id, token, proof);
    }

    async fn delete(&self, merchant_id: MerchantId, token: CardToken, now_ms: u64) -> Result<(), VaultError> {
        let entry = entry(AuditAction::Delete, merchant_id, Some(token), None, now_ms);
        if self.held.release(merchant_id, token, None) {
            self.writer()?.change(Change::record(entry)).await?;
            return Ok(());
        }
        let deleted = tries!(self.try_delete(merchant_id, token, &entry).await);
        self.settled(entry, deleted).await
    }

    async fn shred(&self, merchant_id: MerchantId, now_ms: u64) -> Result<(), VaultError> {
        let entry = entry(AuditAction::Shred, merchant_id, None, None, now_ms);
        let shredded = tries!(self.try_shred(merchant_id, &entry).await);
        self.settled(entry, shredded).await?;
        self.shared.keyring.forget_below(merchant_id, u32::MAX);
        self.shared.keyring.forget(merchant_id, KEY_VERSION);
        // The keys are gone; should this fail, shredding again goes on with it.
        self.clear_shredded(merchant_id).await
    }

    async fn seal(
        &self,
        merchant_id: MerchantId,
        name: &str,
        plain: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, VaultError> {
        self.seal_secret(merchant_id, name, plain, now_ms).await
    }

    async fn open(
        &self,
        merchant_id: MerchantId,
        name: &str,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.open_secret(merchant_id, name, sealed, now_ms).await
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}
