//! Razorpay's codes of banks, wallets and lenders, by ours in [`tollgate_core::directory`].
//!
//! Sources: razorpay.com/docs/payments/payment-methods/netbanking and `GET /v1/methods` (banks, lenders),
//! …/wallets and razorpay.com/docs/api/partners/product-configuration (wallets), …/pay-later (lenders),
//! …/emi/credit-card-emi (banks of instalments).

/// Net banking.
pub(super) const BANKS: &[(&str, &str)] = &[
    ("SBIN", "SBIN"),
    ("HDFC", "HDFC"),
    ("ICIC", "ICIC"),
    ("UTIB", "UTIB"),
    ("KKBK", "KKBK"),
    ("PUNB", "PUNB_R"),
    ("BARB", "BARB_R"),
    ("CNRB", "CNRB"),
    ("UBIN", "UBIN"),
    ("IDIB", "IDIB"),
    ("YESB", "YESB"),
    ("INDB", "INDB"),
    ("FDRL", "FDRL"),
    ("IDFB", "IDFB"),
    ("IBKL", "IBKL"),
    ("BKID", "BKID"),
];

/// Wallets. Google Pay is no wallet here but a UPI app; Freecharge is not offered any more.
pub(super) const WALLETS: &[(&str, &str)] =
    &[("paytm", "paytm"), ("phonepe", "phonepe"), ("amazon_pay", "amazonpay"), ("mobikwik", "mobikwik")];

/// Lenders of buy now, pay later (`method: "paylater"`).
pub(super) const LENDERS: &[(&str, &str)] = &[("lazypay", "lazypay"), ("simpl", "getsimpl")];

/// Banks whose credit cards pay by instalments. The card says which bank it is; no code is sent.
pub(super) const EMI_BANKS: &[&str] =
    &["SBIN", "HDFC", "ICIC", "UTIB", "KKBK", "BARB", "YESB", "INDB", "FDRL", "IDFB"];

/// Numbers of monthly instalments that the banks offer.
pub(super) const EMI_MONTHS: &[u8] = &[3, 6, 9, 12, 18, 24];

/// Razorpay's code for ours.
pub(super) fn code(table: &[(&str, &'static str)], ours: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == ours).map(|(_, code)| *code)
}

/// Our codes in a table.
pub(super) fn ours<'t>(table: &'t [(&'static str, &str)]) -> impl Iterator<Item = &'static str> + 't {
    table.iter().map(|(ours, _)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::directory::{self, find};

    #[test]
    fn our_codes_are_in_the_directory() {
        assert!(ours(BANKS).all(|bank| find(&directory::BANKS, bank).is_some()));
        assert!(EMI_BANKS.iter().all(|bank| find(&directory::BANKS, bank).is_some()));
        assert!(ours(WALLETS).all(|wallet| find(&directory::WALLETS, wallet).is_some()));
        assert!(ours(LENDERS).all(|lender| find(&directory::BNPL_LENDERS, lender).is_some()));
        assert_eq!(code(BANKS, "PUNB"), Some("PUNB_R"));
        assert_eq!(code(WALLETS, "google_pay"), None);
    }
}
