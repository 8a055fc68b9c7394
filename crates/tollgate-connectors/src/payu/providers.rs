//! PayU's codes of banks, wallets, lenders and instalments, by ours in [`tollgate_core::directory`].
//!
//! Sources: docs.payu.in, Net Banking Codes, Wallet Codes and BNPL Codes, as far as they could be read;
//! about half of the net banking codes, `SIMPL` and the instalment codes come from lists that integrators
//! have published, and most banks of the instalment codes were told by the codes' names. PayU enables
//! codes for each account: check them with PayU before going live. The Wallet Codes of June 2026 leave
//! `PAYTM` and `FREC` out; PayU's sample requests still have them.

/// Net banking (`pg=NB`).
pub(super) const BANKS: &[(&str, &str)] = &[
    ("SBIN", "SBIB"),
    ("HDFC", "HDFB"),
    ("ICIC", "ICIB"),
    ("UTIB", "AXIB"),
    ("KKBK", "162B"),
    ("PUNB", "PNBB"),
    ("BARB", "BBRB"),
    ("CNRB", "CABB"),
    ("UBIN", "UBIB"),
    // Not IndusInd Bank, which is `INIB` here.
    ("IDIB", "INDB"),
    ("YESB", "YESB"),
    ("INDB", "INIB"),
    ("FDRL", "FEDB"),
    ("IDFB", "IDFCNB"),
    ("IBKL", "IDBB"),
    ("BKID", "BOINB"),
];

/// Wallets (`pg=CASH`). Google Pay is no wallet here but a UPI app.
pub(super) const WALLETS: &[(&str, &str)] = &[
    ("paytm", "PAYTM"),
    ("phonepe", "PHONEPE"),
    ("amazon_pay", "AMZPAY"),
    ("mobikwik", "MOBIKWIK"),
    ("freecharge", "FREC"),
];

/// Lenders (`pg=BNPL`).
pub(super) const LENDERS: &[(&str, &str)] = &[("lazypay", "LAZYPAY"), ("simpl", "SIMPL")];

/// Instalments on credit cards (`pg=EMI`): bank, number of months, code.
const EMI: &[(&str, u8, &str)] = &[
    ("HDFC", 3, "EMI"),
    ("HDFC", 6, "EMI6"),
    ("HDFC", 9, "EMI9"),
    ("HDFC", 12, "EMI12"),
    ("HDFC", 18, "EMI18"),
    ("HDFC", 24, "EMI24"),
    ("ICIC", 3, "EMIIC3"),
    ("ICIC", 6, "EMIIC6"),
    ("ICIC", 9, "EMIIC9"),
    ("ICIC", 12, "EMIIC12"),
    ("ICIC", 18, "EMIIC18"),
    ("ICIC", 24, "EMIIC24"),
    ("UTIB", 3, "EMIA3"),
    ("UTIB", 6, "EMIA6"),
    ("UTIB", 9, "EMIA9"),
    ("UTIB", 12, "EMIA12"),
    ("UTIB", 18, "EMIA18"),
    ("UTIB", 24, "EMIA24"),
    ("KKBK", 3, "EMIK3"),
    ("KKBK", 6, "EMIK6"),
    ("KKBK", 9, "EMIK9"),
    ("KKBK", 12, "EMIK12"),
    ("KKBK", 18, "EMIK18"),
    ("KKBK", 24, "EMIK24"),
    ("SBIN", 3, "SBI03"),
    ("SBIN", 6, "SBI06"),
    ("SBIN", 9, "SBI09"),
    ("SBIN", 12, "SBI12"),
    ("SBIN", 18, "SBI18"),
    ("SBIN", 24, "SBI24"),
    ("INDB", 3, "EMIIND3"),
    ("INDB", 6, "EMIIND6"),
    ("INDB", 9, "EMIIND9"),
    ("INDB", 12, "EMIIND12"),
    ("INDB", 18, "EMIIND18"),
    ("INDB", 24, "EMIIND24"),
    ("YESB", 3, "EMIY03"),
    ("YESB", 6, "EMIY06"),
    ("YESB", 9, "EMIY09"),
    ("YESB", 12, "EMIY12"),
    ("YESB", 18, "EMIY18"),
    ("YESB", 24, "EMIY24"),
    ("BARB", 3, "BOBCC03"),
    ("BARB", 6, "BOBCC06"),
    ("BARB", 9, "BOBCC09"),
    ("BARB", 12, "BOBCC12"),
    ("BARB", 18, "BOBCC18"),
    ("BARB", 24, "BOBCC24"),
    ("CNRB", 3, "CANARA03"),
    ("CNRB", 6, "CANARA06"),
    ("CNRB", 9, "CANARA09"),
    ("CNRB", 12, "CANARA12"),
    ("CNRB", 18, "CANARA18"),
    ("CNRB", 24, "CANARA24"),
    ("FDRL", 3, "FDRL03"),
    ("FDRL", 6, "FDRL06"),
    ("FDRL", 9, "FDRL09"),
    ("FDRL", 12, "FDRL12"),
    ("FDRL", 18, "FDRL18"),
    ("FDRL", 24, "FDRL24"),
    ("IDFB", 3, "IDFC03"),
    ("IDFB", 6, "IDFC06"),
    ("IDFB", 9, "IDFC09"),
    ("IDFB", 12, "IDFC12"),
    ("IDFB", 18, "IDFC18"),
    ("IDFB", 24, "IDFC24"),
    ("IBKL", 3, "IDBI03"),
    ("IBKL", 6, "IDBI06"),
    ("IBKL", 9, "IDBI09"),
    ("IBKL", 12, "IDBI12"),
    ("IBKL", 18, "IDBI18"),
    ("IBKL", 24, "IDBI24"),
];

/// PayU's code for ours.
pub(super) fn code(table: &[(&str, &'static str)], ours: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == ours).map(|(_, code)| *code)
}

/// PayU's code of a bank's instalments.
pub(super) fn emi_code(bank: &str, months: u8) -> Option<&'static str> {
    EMI.iter().find(|(known, number, _)| *known == bank && *number == months).map(|(_, _, code)| *code)
}

/// Our codes in a table.
pub(super) fn ours<'t>(table: &'t [(&'static str, &str)]) -> impl Iterator<Item = &'static str> + 't {
    table.iter().map(|(ours, _)| *ours)
}

/// The banks with instalments.
pub(super) fn emi_banks() -> impl Iterator<Item = &'static str> {
    EMI.iter().filter(|(_, months, _)| *months == 3).map(|(bank, _, _)| *bank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::directory::{self, find};

    #[test]
    fn our_codes_are_in_the_directory() {
        assert!(ours(BANKS).all(|bank| find(&directory::BANKS, bank).is_some()));
        assert!(emi_banks().all(|bank| find(&directory::BANKS, bank).is_some()));
        assert!(ours(WALLETS).all(|wallet| find(&directory::WALLETS, wallet).is_some()));
        assert!(ours(LENDERS).all(|lender| find(&directory::BNPL_LENDERS, lender).is_some()));
        assert_eq!((code(BANKS, "IDIB"), code(BANKS, "INDB")), (Some("INDB"), Some("INIB")));
        assert_eq!(code(WALLETS, "google_pay"), None);
        assert_eq!((emi_code("KKBK", 9), emi_code("KKBK", 5)), (Some("EMIK9"), None));
        for (place, (_, _, code)) in EMI.iter().enumerate() {
            assert!(EMI[..place].iter().all(|(_, _, other)| other != code), "{code}");
        }
    }
}
