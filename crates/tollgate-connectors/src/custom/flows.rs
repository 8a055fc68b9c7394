//! Checks what the exchanges of an operation bring together.

use super::compile::{Checked, refuse};
use super::config::{self, Meaning};
use super::placeholder::Placeholder;
use super::{Exchange, Plan};
use tollgate_core::method::MethodFamily;

/// Most exchanges of one operation: what the engine carries out, one left for its own use.
const EXCHANGES_MAX: usize = 5;

/// What a flow must bring, beyond what each of its exchanges must.
pub(super) fn check(plan: &Plan, account: &config::Account) -> Checked<()> {
    for (family, method) in &account.methods {
        let flow: Vec<&Exchange> = plan.charge_flow(*family).collect();
        let name = family.as_str();
        if flow.is_empty() {
            return refuse("charge", &format!("there is no exchange for `{name}`"));
        }
        check_steps("charge", &flow, true)?;
        let last = flow.last().map(|last| &last.reading);
        let ends = [Meaning::Captured, Meaning::Pending, Meaning::Action];
        if !last.is_some_and(|last| ends.iter().any(|it| last.says(*it))) {
            return refuse("charge", &format!("no reply for `{name}` can say that it was captured"));
        }
        let sends = |wanted: &dyn Fn(&Placeholder) -> bool| {
            flow.iter().any(|exchange| exchange.placeholders().iter().any(|it| wanted(it)))
        };
        let must = |wanted: &dyn Fn(&Placeholder) -> bool, what: &str| {
            if sends(wanted) {
                return Ok(());
            }
            refuse("charge", &format!("no exchange for `{name}` sends {what}"))
        };
        must(&Placeholder::is_reference, "{{reference}}")?;
        must(&Placeholder::is_amount, "{{amount_minor}} or {{amount_major}}")?;
        if plan.currencies.len() > 1 {
            must(&|it| *it == Placeholder::Currency, "{{currency}}")?;
        }
        match family {
            MethodFamily::Wallet => must(&|it| *it == Placeholder::Wallet, "{{wallet}}")?,
            MethodFamily::NetBanking => must(&|it| *it == Placeholder::Bank, "{{bank}}")?,
            MethodFamily::UpiCollect => must(&|it| *it == Placeholder::Vpa, "{{vpa}}")?,
            _ => {}
        }
        if method.manual_capture {
            let field = format!("methods.{name}.manual_capture");
            if !sends(&|it| *it == Placeholder::Capture) {
                return refuse(&field, "no exchange sends {{capture}}: the money would be taken at once");
            }
            if plan.capture_codes.as_ref().is_none_or(|(automatic, manual)| automatic == manual) {
                return refuse(&field, "needs `capture_codes` with two different codes");
            }
            if plan.capture.is_empty() || plan.void.is_empty() {
                return refuse(&field, "needs the operations `capture` and `void`");
            }
            if !plan.enquire_charge.last().is_some_and(|it| it.reading.says(Meaning::Authorized)) {
                return refuse(&field, "needs a reply to `enquire_charge` that can say `authorized`");
            }
        }
    }
    let sends_capture = plan.charge.iter().any(|it| it.placeholders().contains(&&Placeholder::Capture));
    if sends_capture && plan.capture_codes.is_none() {
        return refuse("capture_codes", "must say what {{capture}} stands for");
    }
    check_follow_ups(plan)
}

fn check_follow_ups(plan: &Plan) -> Checked<()> {
    let all: [(&str, &[Exchange], bool, &[Meaning]); 5] = [
        ("capture", &plan.capture, false, &[Meaning::Captured, Meaning::Pending]),
        ("void", &plan.void, false, &[Meaning::Voided, Meaning::Pending]),
        ("refund", &plan.refund, true, &[Meaning::Refunded, Meaning::Pending]),
        ("enquire_charge", &plan.enquire_charge, true, &[Meaning::Captured]),
        ("enquire_refund", &plan.enquire_refund, true, &[Meaning::Refunded]),
    ];
    for (name, flow, is_needed, ends) in all {
        if flow.is_empty() {
            if is_needed {
                return refuse(name, "this operation is missing");
            }
            continue;
        }
        let exchanges: Vec<&Exchange> = flow.iter().collect();
        check_steps(name, &exchanges, !name.starts_with("enquire"))?;
        if !flow.last().is_some_and(|last| ends.iter().any(|it| last.reading.says(*it))) {
            return refuse(name, "its last reply can never say that it was done");
        }
        let sends = |wanted: &dyn Fn(&Placeholder) -> bool| {
            flow.iter().any(|exchange| exchange.placeholders().iter().any(|it| wanted(it)))
        };
        let names_charge = |it: &Placeholder| it.is_reference() || *it == Placeholder::ProcessorPaymentId;
        if !sends(&names_charge) {
            return refuse(name, "no exchange says which payment is meant");
        }
        if name == "refund" && !sends(&|it| *it == Placeholder::Reference) {
            return refuse(name, "no exchange sends {{reference}}, so it could not be enquired about");
        }
        let partial = (name == "capture" && plan.capabilities.partial_capture)
            || (name == "refund" && plan.capabilities.partial_refund);
        if partial && !sends(&Placeholder::is_amount) {
            let field = format!("partial_{name}");
            return refuse(
                &field,
                &format!("no exchange of `{name}` sends {{{{amount_minor}}}} or {{{{amount_major}}}}"),
            );
        }
    }
    if plan.capabilities.partial_capture && plan.capture.is_empty() {
        return refuse("partial_capture", "there is no operation `capture`");
    }
    Ok(())
}

fn check_steps(name: &str, flow: &[&Exchange], moves_money: bool) -> Checked<()> {
    if flow.len() > EXCHANGES_MAX {
        return refuse(name, &format!("at most {EXCHANGES_MAX} exchanges are carried out"));
    }
    let mut moved = false;
    for (index, exchange) in flow.iter().enumerate() {
        let is_last = index + 1 == flow.len();
        let goes_on = exchange.reading.says(Meaning::Next);
        if goes_on == is_last {
            return refuse(
                name,
                "the reply to every exchange but the last must be able to say `next`, and that of the last must not",
            );
        }
        if moved && !exchange.moves_money {
            return refuse(name, "an exchange behind one that moves money is `moves_money = true` itself");
        }
        moved |= exchange.moves_money;
    }
    if moves_money && !moved {
        return refuse(name, "`moves_money` is false for every exchange, so none would do it");
    }
    Ok(())
}
