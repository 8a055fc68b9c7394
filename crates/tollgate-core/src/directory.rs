//! Banks, wallets and lenders under one name each; connectors translate to their processors' codes.
//!
//! A bank's code is the first four letters of its IFSC (RBI).

/// A bank, wallet or lender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The code in the API.
    pub code: &'static str,
    /// The name customers know.
    pub name: &'static str,
}

const fn named(code: &'static str, name: &'static str) -> Named {
    Named { code, name }
}

/// Banks with net banking, the most used first.
pub const BANKS: [Named; 16] = [
    named("SBIN", "State Bank of India"),
    named("HDFC", "HDFC Bank"),
    named("ICIC", "ICICI Bank"),
    named("UTIB", "Axis Bank"),
    named("KKBK", "Kotak Mahindra Bank"),
    named("PUNB", "Punjab National Bank"),
    named("BARB", "Bank of Baroda"),
    named("CNRB", "Canara Bank"),
    named("UBIN", "Union Bank of India"),
    named("IDIB", "Indian Bank"),
    named("YESB", "Yes Bank"),
    named("INDB", "IndusInd Bank"),
    named("FDRL", "Federal Bank"),
    named("IDFB", "IDFC FIRST Bank"),
    named("IBKL", "IDBI Bank"),
    named("BKID", "Bank of India"),
];

/// Wallets.
pub const WALLETS: [Named; 6] = [
    named("paytm", "Paytm"),
    named("phonepe", "PhonePe"),
    named("google_pay", "Google Pay"),
    named("amazon_pay", "Amazon Pay"),
    named("mobikwik", "MobiKwik"),
    named("freecharge", "Freecharge"),
];

/// Lenders of buy now, pay later.
pub const BNPL_LENDERS: [Named; 4] = [
    named("lazypay", "LazyPay"),
    named("simpl", "Simpl"),
    named("klarna", "Klarna"),
    named("afterpay", "Afterpay"),
];

/// The entry of that code.
#[must_use]
pub fn find(list: &'static [Named], code: &str) -> Option<&'static Named> {
    list.iter().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_right() {
        for list in [&BANKS[..], &WALLETS[..], &BNPL_LENDERS[..]] {
            for (place, entry) in list.iter().enumerate() {
                assert!(list[..place].iter().all(|other| other.code != entry.code), "{}", entry.code);
                assert_eq!(find(list, entry.code), Some(entry));
            }
        }
        assert!(BANKS.iter().all(|bank| bank.code.len() == 4));
        assert_eq!(find(&BANKS, "hdfc"), None);
    }
}
