//! Administrative changes: decided whole, then staged together with their entries of the audit log.

use crate::batch::codec::{decode, encode};
use crate::batch::digests::user_digest;
use crate::batch::erase::Erased;
use crate::batch::txn::Txn;
use crate::batch::{Base, Table, api_keys, keys};
use crate::commit::{
    AccountCalls, Admin, CALLS_KEPT_DAYS, CommitError, Conflict, EndpointCalls, NOTICES_KEPT_MS, Upkeep,
};
use crate::error::StoreError;
use crate::query::PolicyKind;
use crate::trail::{self, Rows};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::ops::ControlFlow;
use tollgate_core::audit::{AuditEntry, By};
use tollgate_core::id::{MerchantId, PartnerId};
use tollgate_core::notice::Notice;
use tollgate_core::partner::Partner;
use tollgate_core::passkey::Passkey;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_core::saved_card::SavedCard;

/// Most rows of old days that make room for what is counted.
const CALLS_DROPPED_AT_ONCE: usize = 1_000;

/// Most old notices that make room for a new one.
const NOTICES_DROPPED_AT_ONCE: usize = 16;

/// Administrative rows by table and key; none: removed.
pub(crate) type Staged = HashMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// A row in the making: its table, its key, and its bytes; none: removed.
type Row = (Table, Vec<u8>, Option<Vec<u8>>);

/// A change in the making: nothing of it is staged before all of it is known to fit.
#[derive(Default)]
struct Draft {
    rows: Vec<Row>,
    seen: Staged,
    entries: Vec<AuditEntry>,
    partners: Vec<Partner>,
    erased: Vec<Erased>,
}

impl Draft {
    fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, row: Option<Vec<u8>>) {
        let key = key.into();
        self.seen.insert((table, key.clone()), row.clone());
        self.rows.push((table, key, row));
    }
}

impl<B: Base> Txn<'_, B> {
    /// Stages an administrative change and its entries of the audit log, or nothing.
    pub(crate) fn administer(&mut self, change: Admin, by: &By) -> Result<(), CommitError> {
        let mut draft = Draft::default();
        self.draft(&mut draft, change, by)?;
        self.stage_draft(draft.rows);
        for erased in draft.erased {
            let taken = self.take_erased(erased);
            self.broken |= taken.is_err();
            taken?;
        }
        for partner in draft.partners {
            self.state.partners.put(partner);
        }
        self.told.extend(draft.entries);
        Ok(())
    }

    fn stage_draft(&mut self, rows: Vec<Row>) {
        for (table, key, row) in rows {
            match &row {
                Some(row) => self.base.put(&mut self.rows, table, &key, row),
                None => self.base.remove(&mut self.rows, table, &key),
            }
            self.staged.insert((table, key), row);
        }
    }

    fn draft(&self, draft: &mut Draft, change: Admin, by: &By) -> Result<(), CommitError> {
        let mut rows = Rows::default();
        match &change {
            Admin::Together(changes) => {
                for change in changes {
                    self.draft(draft, change.clone(), by)?;
                }
                return Ok(());
            }
            Admin::Told(_) => {}
            Admin::PutPartner(partner) => rows.partner = self.put_partner(draft, partner)?,
            Admin::PutMerchant(merchant) => {
                let table = Table::Merchants;
                rows.merchant = self.replace(draft, table, &merchant.id.to_bytes(), merchant, "merchant")?;
            }
            Admin::PutApiKey(key) => {
                let table = Table::ApiKeys;
                let before = self.row(draft, table, &key.id.to_bytes())?;
                rows.api_key = before.map(|row| api_keys::from_row(&row)).transpose()?;
                let key = match &rows.api_key {
                    Some(before) => key.clone().over(before),
                    None => key.clone(),
                };
                draft.put(table, key.id.to_bytes(), Some(api_keys::to_row(&key)?));
            }
            Admin::PutPasskey(passkey) => rows.passkey = self.put_passkey(draft, passkey)?,
            Admin::PutPolicy { merchant_id, kind, policy } => {
                let (table, key) = (Table::Policies, keys::policy(*merchant_id, *kind));
                let before = self.row(draft, table, &key)?;
                rows.policy = before.and_then(|before| String::from_utf8(before).ok());
                draft.put(table, key, policy.as_ref().map(|policy| policy.as_bytes().to_vec()));
            }
            Admin::ErasePayments(wish) => draft.erased.push(self.draft_erasure(wish, by.at_ms)?),
            Admin::RemovePasskey(passkey) => {
                let key = keys::passkey(passkey.merchant_id, user_digest(&passkey.user_id), passkey.id);
                let table = Table::Passkeys;
                rows.passkey = self.read(draft, table, &key, "passkey")?;
                draft.put(table, key, None);
            }
            Admin::PutProcessorAccount(account) => {
                let key = keys::processor_account(account.merchant_id, &account.processor);
                let table = Table::ProcessorAccounts;
                let before: Option<ProcessorAccount> = self.read(draft, table, &key, "processor account")?;
                if account.version != before.as_ref().map_or(0, |before| before.version).saturating_add(1) {
                    return Err(Conflict::Stale.into());
                }
                draft.put(table, key, Some(encode(account.as_ref())?));
                rows.processor_account = before;
            }
            Admin::PutSavedCard(card) => {
                rows.saved_card = self.remove_saved_card(draft, card.merchant_id, card.token)?;
                let key = keys::user_card(card.merchant_id, user_digest(&card.user_id), card.token);
                draft.put(Table::UserCards, key, Some(Vec::new()));
                let key = keys::owned(card.merchant_id, card.token);
                draft.put(Table::SavedCards, key, Some(encode(card.as_ref())?));
            }
            Admin::RemoveSavedCard { merchant_id, token } => {
                rows.saved_card = self.remove_saved_card(draft, *merchant_id, *token)?;
                if rows.saved_card.is_none() {
                    return Ok(());
                }
            }
        }
        draft.entries.push(trail::of_change(&change, &rows, by, self.base.log_key()));
        Ok(())
    }

    /// A row as this batch, and the change so far, leaves it.
    fn row(&self, draft: &Draft, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = (table, key.to_vec());
        match draft.seen.get(&place).or_else(|| self.staged.get(&place)) {
            Some(row) => Ok(row.clone()),
            None => Ok(self.base.get(table, key)?.map(|row| row.as_ref().to_vec())),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        draft: &Draft,
        table: Table,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.row(draft, table, key)?.map(|row| decode(&row, what)).transpose()
    }

    /// Writes a row; gives the one that was there.
    fn replace<T: Serialize + DeserializeOwned>(
        &self,
        draft: &mut Draft,
        table: Table,
        key: &[u8],
        row: &T,
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let before = self.read(draft, table, key, what)?;
        draft.put(table, key, Some(encode(row)?));
        Ok(before)
    }

    fn put_partner(&self, draft: &mut Draft, partner: &Partner) -> Result<Option<Partner>, CommitError> {
        let key = partner.id.to_bytes();
        let table = Table::Partners;
        let before: Option<Partner> = self.read(draft, table, &key, "partner")?;
        if partner.version != before.as_ref().map_or(0, |before| before.version).saturating_add(1) {
            return Err(Conflict::Stale.into());
        }
        let references = Table::PartnerReferences;
        let old = before.as_ref().and_then(|before| before.profile.reference.as_ref());
        if old != partner.profile.reference.as_ref() {
            if let Some(reference) = &partner.profile.reference {
                let taken: Option<PartnerId> =
                    self.read(draft, references, reference.as_bytes(), "reference")?;
                if taken.is_some() {
                    return Err(Conflict::ReferenceTaken.into());
                }
                draft.put(references, reference.as_bytes(), Some(encode(&partner.id)?));
            }
            if let Some(old) = old {
                draft.put(references, old.as_bytes(), None);
            }
        }
        for (_, merchant_id) in partner.merchants() {
            let table = Table::MerchantPartners;
            draft.put(table, merchant_id.to_bytes(), Some(encode(&partner.id)?));
        }
        draft.put(table, key, Some(encode(partner)?));
        draft.partners.push(partner.clone());
        Ok(before)
    }

    fn remove_saved_card(
        &self,
        draft: &mut Draft,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        let key = keys::owned(merchant_id, token);
        let table = Table::SavedCards;
        let card: Option<SavedCard> = self.read(draft, table, &key, "saved card")?;
        if let Some(card) = &card {
            let user_card = keys::user_card(merchant_id, user_digest(&card.user_id), token);
            draft.put(Table::UserCards, user_card, None);
            draft.put(table, key, None);
        }
        Ok(card)
    }

    /// Gives the passkey that was there.
    fn put_passkey(&self, draft: &mut Draft, passkey: &Passkey) -> Result<Option<Passkey>, StoreError> {
        let key = keys::passkey(passkey.merchant_id, user_digest(&passkey.user_id), passkey.id);
        let table = Table::Passkeys;
        let known: Option<Passkey> = self.read(draft, table, &key, "passkey")?;
        let mut passkey = passkey.clone();
        if let Some(known) = &known {
            passkey.sign_count = passkey.sign_count.max(known.sign_count);
            passkey.created_at_ms = known.created_at_ms;
        }
        draft.put(table, key, Some(encode(&passkey)?));
        Ok(known)
    }

    /// Stages what nobody has decided.
    pub(crate) fn upkeep(&mut self, change: &Upkeep) -> Result<(), CommitError> {
        match change {
            Upkeep::PutCheckout(session) => {
                let row = encode(session.as_ref())?;
                let id = session.id.to_bytes();
                self.base.put(&mut self.rows, Table::Checkouts, &id, &row);
                let key = keys::owned(session.merchant_id, id);
                self.base.put(&mut self.rows, Table::MerchantCheckouts, &key, &[]);
            }
            Upkeep::PutNotice(notice) => self.put_notice(notice)?,
            Upkeep::NoteKeyUses(uses) => {
                for (id, at_ms) in uses {
                    let row = at_ms.to_be_bytes();
                    self.base.put(&mut self.rows, Table::KeyUses, &id.to_bytes(), &row);
                }
            }
            Upkeep::CountPasskey(passkey) => {
                let mut draft = Draft::default();
                let (user, id) = (user_digest(&passkey.user_id), passkey.id);
                let key = keys::passkey(passkey.merchant_id, user, id);
                // One that was removed meanwhile does not come back.
                if self.row(&draft, Table::Passkeys, &key)?.is_some() {
                    self.put_passkey(&mut draft, passkey)?;
                    self.stage_draft(draft.rows);
                }
            }
            Upkeep::PinApiVersion { merchant_id, version } => {
                let key = keys::policy(*merchant_id, PolicyKind::ApiVersion);
                let mut draft = Draft::default();
                if self.row(&draft, Table::Policies, &key)?.is_none() {
                    draft.put(Table::Policies, key, Some(version.as_bytes().to_vec()));
                    self.stage_draft(draft.rows);
                }
            }
            Upkeep::CountCalls { day, accounts } => self.count_calls(*day, accounts)?,
            Upkeep::AddUpDays { merchant_id, upto_hour } => self.add_up_days(*merchant_id, *upto_hour)?,
        }
        Ok(())
    }

    fn count_calls(&mut self, day: u32, accounts: &[AccountCalls]) -> Result<(), StoreError> {
        let oldest = keys::calls(day.saturating_sub(CALLS_KEPT_DAYS), MerchantId::from_u128(0));
        let mut old = Vec::new();
        self.base.scan(Table::Calls, &[], &oldest, |key, _| {
            if old.len() >= CALLS_DROPPED_AT_ONCE {
                return Ok(ControlFlow::Break(()));
            }
            old.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        for key in old {
            self.base.remove(&mut self.rows, Table::Calls, &key);
        }
        let mut draft = Draft::default();
        for account in accounts {
            let key = keys::calls(day, account.merchant_id);
            let counted = self.read(&draft, Table::Calls, &key, "calls")?;
            let mut sums: Vec<EndpointCalls> = counted.unwrap_or_default();
            for counted in &account.calls {
                let same = |sum: &&mut EndpointCalls| {
                    sum.version == counted.version && sum.endpoint == counted.endpoint
                };
                match sums.iter_mut().find(same) {
                    Some(sum) => sum.calls = sum.calls.saturating_add(counted.calls),
                    None => sums.push(counted.clone()),
                }
            }
            draft.put(Table::Calls, key, Some(encode(&sums)?));
        }
        self.stage_draft(draft.rows);
        Ok(())
    }

    fn put_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        let mut old = Vec::new();
        self.base.scan(Table::Notices, &[], &[u8::MAX; 17], |key, row| {
            let kept_until_ms = decode::<Notice>(row, "notice")?.at_ms.saturating_add(NOTICES_KEPT_MS);
            if kept_until_ms >= notice.at_ms || old.len() >= NOTICES_DROPPED_AT_ONCE {
                return Ok(ControlFlow::Break(()));
            }
            old.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        for key in old {
            self.base.remove(&mut self.rows, Table::Notices, &key);
        }
        self.base.put(&mut self.rows, Table::Notices, &notice.id.to_bytes(), &encode(notice)?);
        Ok(())
    }
}
