//! Partners as the writer knows them, and what they have taken in a day and a month: a sum of the totals, so
//! that it cannot drift from what is booked.

use crate::batch::codec::decode;
use crate::batch::txn::Txn;
use crate::batch::{Base, Map, Table, keys};
use crate::commit::CommitError;
use crate::error::StoreError;
use std::ops::ControlFlow;
use std::sync::Arc;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::id::{MerchantId, PartnerId};
use tollgate_core::merchant::Mode;
use tollgate_core::partner::admit::counts;
use tollgate_core::partner::period::Period;
use tollgate_core::partner::{Partner, Volumes, admit};
use tollgate_core::payment::Payment;
use tollgate_core::totals::{Totals, TotalsKey};
use tollgate_core::transition::PaymentStatus;

/// What the writer remembers of partners.
#[derive(Default)]
pub(crate) struct Partners {
    of_merchant: Map<MerchantId, Option<PartnerId>>,
    partners: Map<PartnerId, Arc<Partner>>,
    /// Sums of the periods that were asked for, kept up to date from then on.
    sums: Map<(MerchantId, Currency, Period), i128>,
}

impl Partners {
    /// A partner was written.
    pub(crate) fn put(&mut self, partner: Partner) {
        for (_, merchant_id) in partner.merchants() {
            self.of_merchant.insert(merchant_id, Some(partner.id));
        }
        self.partners.insert(partner.id, Arc::new(partner));
    }

    /// A payment is new or has changed its status.
    pub(crate) fn count<B: Base>(
        &mut self,
        (base, rows): (&B, &mut B::Batch),
        before: Option<PaymentStatus>,
        payment: &Payment,
    ) {
        if self.sums.is_empty() && !B::KEEPS_VOLUMES {
            return;
        }
        let change = i128::from(counts(payment.status)) - i128::from(before.is_some_and(counts));
        if change == 0 {
            return;
        }
        let amount = payment.terms.amount;
        let change = change * i128::from(amount.minor);
        for period in [Period::day_of(payment.created_at_ms), Period::month_of(payment.created_at_ms)] {
            let key = (payment.merchant_id, amount.currency, period);
            base.add_volume(rows, key, change);
            if let Some(sum) = self.sums.get_mut(&key) {
                *sum += change;
            }
        }
    }

    /// Lets go of everything once there is too much.
    pub(crate) fn trim(&mut self, most: usize) {
        if self.of_merchant.len() > most {
            self.of_merchant.clear();
        }
        if self.partners.len() > most {
            self.partners.clear();
        }
        if self.sums.len() > most {
            self.sums.clear();
        }
    }
}

impl<B: Base> Txn<'_, B> {
    /// Lets a payment of a partner begin, or says why not; sets the fee that was agreed for its processor.
    pub(crate) fn admit(
        &mut self,
        merchant_id: MerchantId,
        now_ms: u64,
        command: &mut Command,
    ) -> Result<(), CommitError> {
        let (terms, processor) = match command {
            Command::Create { terms, attempt, .. } => (terms, Some(&attempt.processor)),
            Command::Block { terms, .. } => (terms, None),
            _ => return Ok(()),
        };
        let Some(partner) = self.partner_of(merchant_id)? else {
            return Ok(());
        };
        let parent = match partner.parent {
            Some(id) => self.partner(id)?,
            None => None,
        };
        let mode = if partner.live == Some(merchant_id) { Mode::Live } else { Mode::Sandbox };
        let currency = terms.amount.currency;
        let volumes = || {
            Ok(Volumes {
                day_minor: self.sum(merchant_id, currency, Period::day_of(now_ms))?,
                month_minor: self.sum(merchant_id, currency, Period::month_of(now_ms))?,
            })
        };
        admit::<CommitError>((&partner, parent.as_deref()), mode, terms, volumes)?;
        if let Some(fee) = processor.and_then(|processor| partner.profile.fee_at(processor)) {
            Arc::make_mut(terms).fee = fee;
        }
        Ok(())
    }

    fn partner_of(&mut self, merchant_id: MerchantId) -> Result<Option<Arc<Partner>>, StoreError> {
        let id = match self.state.partners.of_merchant.get(&merchant_id) {
            Some(id) => *id,
            None => {
                let row = self.base.get(Table::MerchantPartners, &merchant_id.to_bytes())?;
                let id = row.map(|row| decode(row.as_ref(), "merchant's partner")).transpose()?;
                self.state.partners.of_merchant.insert(merchant_id, id);
                id
            }
        };
        id.map_or(Ok(None), |id| self.partner(id))
    }

    fn partner(&mut self, id: PartnerId) -> Result<Option<Arc<Partner>>, StoreError> {
        if let Some(partner) = self.state.partners.partners.get(&id) {
            return Ok(Some(Arc::clone(partner)));
        }
        let Some(row) = self.base.get(Table::Partners, &id.to_bytes())? else {
            return Ok(None);
        };
        let partner = Arc::new(decode::<Partner>(row.as_ref(), "partner")?);
        self.state.partners.partners.insert(id, Arc::clone(&partner));
        Ok(Some(partner))
    }

    /// What a merchant's payments of a period come to, those of this batch among them.
    fn sum(
        &mut self,
        merchant_id: MerchantId,
        currency: Currency,
        period: Period,
    ) -> Result<i128, StoreError> {
        let key = (merchant_id, currency, period);
        if let Some(sum) = self.state.partners.sums.get(&key) {
            return Ok(*sum);
        }
        if let Some(before) = self.base.volume(&key)? {
            let sum = before + self.base.volume_change(&self.rows, &key);
            self.state.partners.sums.insert(key, sum);
            return Ok(sum);
        }
        let ours = |key: &TotalsKey| {
            key.currency == currency && (period.from_hour..period.to_hour).contains(&key.hour)
        };
        let counted = |totals: &Totals| -> i128 {
            let statuses = PaymentStatus::ALL.into_iter().filter(|status| counts(*status));
            statuses.map(|status| totals.of(status).sum_minor).sum()
        };
        let mut sum = 0;
        let hours = keys::totals_hours(merchant_id, period.from_hour, period.to_hour);
        self.base.scan(Table::Totals, &hours.start, &hours.end, |row_key, row| {
            let row_key = keys::read_totals(row_key).ok_or(StoreError::Corrupt("totals key"))?;
            // Rows of this batch are counted below, as it leaves them.
            if ours(&row_key) && !self.touched_totals.contains(&(merchant_id, row_key)) {
                sum += counted(&decode(row, "totals")?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for touched in
            self.touched_totals.iter().filter(|touched| touched.0 == merchant_id && ours(&touched.1))
        {
            sum += self.state.totals.get(touched).map_or(0, counted);
        }
        self.state.partners.sums.insert(key, sum);
        Ok(sum)
    }
}
