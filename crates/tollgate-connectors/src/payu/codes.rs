//! What PayU's codes mean.
//!
//! Sources: docs.payu.in, Error Codes; Error Codes for Refund Initiation; Payment State
//! Explanations; Sample Error Responses.

use super::unknown;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

use FailureCode::{
    AuthenticationFailed, CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds,
    IssuerUnavailable, LimitExceeded, ProcessorRejected, ProcessorRiskDeclined, ProcessorUnavailable,
};

/// Codes of failed transactions by what they mean. Read from PayU's whole table of Error Codes; a failed
/// transaction whose code is in neither list (format errors between banks, above all) is a decline
/// without a known reason.
const ERRORS: &[(FailureCode, &[&str])] = &[
    // Cancelled, left, or let lapse by the customer.
    (
        CustomerCancelled,
        &[
            "E408", "E502", "E503", "E905", "E906", "E1206", "E1602", "E1605", "E1606", "E1607", "E1610",
            "E1611", "E1613", "E1901", "E4103", "E4168", "E4218", "E4271", "E4273", "E9205",
        ],
    ),
    // 3-D Secure, OTP or PIN failed.
    (
        AuthenticationFailed,
        &[
            "E199", "E232", "E300", "E301", "E302", "E303", "E316", "E317", "E318", "E326", "E327", "E335",
            "E340", "E500", "E600", "E708", "E710", "E900", "E917", "E1000", "E1002", "E1204", "E1302",
            "E1601", "E1604", "E1623", "E1624", "E1627", "E1633", "E1644", "E1645", "E1666", "E1703",
            "E1910", "E2404", "E2406", "E2503", "E4148", "E4298", "E4299", "E4386", "E4387", "E4390",
            "E9217", "E9244",
        ],
    ),
    // Not enough money or credit.
    (InsufficientFunds, &["E329", "E706", "E713", "E718", "E719", "E1208", "E4037"]),
    // A limit of the card, account, wallet or mandate was passed.
    (
        LimitExceeded,
        &[
            "E720", "E901", "E909", "E1203", "E1505", "E1628", "E1661", "E1662", "E1911", "E4021", "E4022",
            "E4104", "E4115", "E4116", "E4151", "E4152", "E4293", "E4312", "E4369", "E4388", "E4389",
            "E4536", "E9230", "E9237", "E9238", "E9246", "E9249", "E9251",
        ],
    ),
    // The card, account, address or mandate is wrong, blocked, expired or not registered.
    (
        InstrumentInvalid,
        &[
            "E201", "E305", "E310", "E311", "E313", "E323", "E325", "E339", "E707", "E709", "E717", "E805",
            "E806", "E807", "E902", "E910", "E1003", "E1603", "E1609", "E1625", "E1626", "E1632", "E1652",
            "E1664", "E1670", "E4005", "E4009", "E4053", "E4108", "E4109", "E4110", "E4111", "E4114",
            "E4117", "E4125", "E4147", "E4166", "E4222", "E4295", "E4340", "E4346", "E4356", "E4359",
            "E4363", "E4374", "E4391", "E4533", "E4684", "E4934", "E9247", "E9252", "EA08",
        ],
    ),
    // Refused as a risk, or by law.
    (ProcessorRiskDeclined, &["E324", "E338", "E1655", "E4004", "E4014", "E4015", "E4378", "E9232"]),
    // The issuer's side was not there, and the payment was refused for it.
    (
        IssuerUnavailable,
        &["E334", "E802", "E1001", "E1653", "E4001", "E4027", "E4177", "E4285", "E4352", "E4357", "E9227"],
    ),
    // Refused by the bank without a reason that helps.
    (
        CardDeclined,
        &[
            "E207", "E223", "E304", "E307", "E308", "E309", "E312", "E314", "E315", "E331", "E332", "E333",
            "E336", "E343", "E344", "E348", "E705", "E714", "E903", "E908", "E1201", "E1202", "E1301",
            "E1501", "E1640", "E1642", "E1650", "E1903", "E2102", "E2401", "E2402", "E2403", "E2405",
            "E2408", "E2409", "E4010", "E4040", "E4105", "E4106", "E4107", "E4112", "E4122", "E4140",
            "E4143", "E4146", "E4149", "E4179", "E4278", "E4290", "E4314", "E4315", "E4316", "E4317",
            "E4318", "E4326", "E4348", "E4375", "E4803", "E9207", "E9218", "E9236", "E9239", "E9240",
            "E9248",
        ],
    ),
    // Our request or account: nothing was asked of a bank, or the bank does not know the merchant.
    (
        ProcessorRejected,
        &[
            "E200", "E217", "E224", "E330", "E341", "E346", "E347", "E700", "E712", "E715", "E800", "E907",
            "E914", "E915", "E916", "E1020", "E1101", "E1210", "E1500", "E1502", "E1615", "E1616", "E1618",
            "E1619", "E1620", "E1621", "E1622", "E1630", "E1631", "E1637", "E1643", "E1646", "E1647",
            "E1657", "E1665", "E1667", "E1668", "E1669", "E1700", "E1701", "E1702", "E1902", "E1908",
            "E2081", "E2100", "E2101", "E2201", "E2202", "E2407", "E4047", "E4121", "E4225", "E4289",
            "E4332", "E4365", "E4371", "E4382", "E4383", "E4511", "E4521", "E4530", "E4531", "E4535",
            "E4658", "E4666", "E4935", "EA09",
        ],
    ),
    // No gateway behind PayU was there to ask.
    (ProcessorUnavailable, &["E342", "E801", "E803", "E804", "E1906"]),
];

/// Codes that say that a bank or network did not answer in time, failed after it was asked, approved in
/// part, is still at it, or that something with this number exists already: whether the money was taken
/// is not known.
const DOUBTFUL: &[&str] = &[
    "E202", "E203", "E204", "E205", "E206", "E208", "E209", "E210", "E211", "E212", "E213", "E214", "E215",
    "E216", "E218", "E219", "E220", "E221", "E222", "E225", "E226", "E227", "E228", "E231", "E306", "E321",
    "E337", "E345", "E501", "E504", "E505", "E507", "E702", "E703", "E704", "E1300", "E1303", "E1400",
    "E1608", "E1617", "E1629", "E1634", "E1635", "E1636", "E1638", "E1639", "E1648", "E1651", "E1654",
    "E1656", "E1658", "E1659", "E1660", "E1800", "E1905", "E1907", "E1909", "E2110", "E2111", "E4002",
    "E4003", "E4013", "E4019", "E4020", "E4041", "E4044", "E4045", "E4101", "E4141", "E4142", "E4150",
    "E4155", "E4157", "E4158", "E4167", "E4172", "E4173", "E4175", "E4176", "E4178", "E4180", "E4181",
    "E4182", "E4183", "E4184", "E4185", "E4186", "E4187", "E4189", "E4191", "E4195", "E4196", "E4197",
    "E4198", "E4202", "E4219", "E4259", "E4267", "E4268", "E4272", "E4277", "E4279", "E4282", "E4283",
    "E4284", "E4292", "E4294", "E4353", "E4358", "E4367", "E4381", "E4385", "E4526", "E4605", "E4607",
    "E4608", "E4682", "E4683", "E4931", "E4933", "E9202", "E9203", "E9204", "E9208", "E9216", "E9220",
    "E9222", "E9250", "E9254",
];

/// A transaction in state `failure`, by the way it failed.
pub(super) fn failed(unmapped: &str, code: &str, message: &str) -> Outcome {
    let failure = |class| Failure::new(class, message).with_processor_code(code);
    let named = ERRORS.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class);
    match unmapped {
        "failed" | "failure" if DOUBTFUL.contains(&code) => {
            Outcome::Unknown(failure(FailureCode::OutcomeUnknown))
        }
        "failed" | "failure" => match named {
            Some(class @ (ProcessorRejected | ProcessorUnavailable)) => Outcome::NotTaken(failure(class)),
            Some(class) => Outcome::Declined(failure(class)),
            None => Outcome::Declined(failure(CardDeclined)),
        },
        // The customer left before paying.
        "userCancelled" | "bounced" => Outcome::Declined(failure(CustomerCancelled)),
        // `dropped`: the bank never answered PayU. Anything else is not documented.
        _ => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
    }
}

/// The same, told by an enquiry or webhook: it is known to be over, so a rejected request is a
/// decline, not an invitation to try elsewhere.
pub(super) fn settled(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::NotTaken(failure) => Outcome::Declined(failure),
        other => other,
    }
}

/// A request that was refused before it became a transaction.
pub(super) fn refused_request(code: &str, message: &str) -> Outcome {
    // Only the hash is checked before everything else and documented (Sample Error Responses). A
    // duplicate txnid, above all, means that an earlier transaction may have taken the money.
    match code {
        "E700" => Outcome::NotTaken(Failure::new(ProcessorRejected, message).with_processor_code(code)),
        _ => Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message).with_processor_code(code)),
    }
}

/// A capture, cancellation or refund that was answered with status 0.
pub(super) fn refused_command(code: &str, message: &str) -> Outcome {
    let failure = |class| Failure::new(class, message).with_processor_code(code);
    match code {
        // Refused for what was asked.
        "103" | "105" | "107" | "108" | "110" | "111" | "113" | "115" | "116" | "117" | "119" | "121"
        | "124" | "125" | "128" | "129" | "214" | "230" => Outcome::Declined(failure(ProcessorRejected)),
        // Another action on the same transaction is running; this one was not begun.
        "120" => Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)),
        // The token is known already: an earlier request with it may have been carried out.
        "106" | "109" | "227" => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
        "" if is_rejection(message) => Outcome::Declined(failure(ProcessorRejected)),
        _ => unknown("neither accepted nor refused in a documented way"),
    }
}

/// A debit on a mandate that was answered with status 0 and no transaction. Only the hash is checked
/// before everything else and documented.
pub(super) fn refused_debit(message: &str) -> Outcome {
    let lower = message.to_ascii_lowercase();
    if lower.starts_with("invalid hash") || lower.starts_with("parameter missing") {
        return Outcome::NotTaken(Failure::new(ProcessorRejected, message));
    }
    Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message))
}

/// Documented refusals that come without a code.
fn is_rejection(message: &str) -> bool {
    const MESSAGES: &[&str] = &[
        "parameter missing",
        "token is empty",
        "amount is empty",
        "transaction not exists",
        "invalid hash",
        "invalid amount",
    ];
    let lower = message.to_ascii_lowercase();
    MESSAGES.iter().any(|known| lower.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_one_thing() {
        let all: Vec<&str> =
            ERRORS.iter().flat_map(|(_, codes)| codes.iter()).chain(DOUBTFUL).copied().collect();
        for (place, code) in all.iter().enumerate() {
            assert!(!all[..place].contains(code), "{code}");
        }
        assert!(all.len() > 350);
        assert!(matches!(failed("failed", "E803", "x"), Outcome::NotTaken(_)));
        assert!(matches!(failed("failed", "E4294", "x"), Outcome::Unknown(_)));
        assert!(matches!(failed("failed", "E706", "x"), Outcome::Declined(_)));
        assert!(matches!(failed("dropped", "E706", "x"), Outcome::Unknown(_)));
    }
}
