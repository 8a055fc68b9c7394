//! What became of a batch: one result a payment, each with the bytes that a single request would have got.

use super::payment::PaymentView;
use crate::codes;
use crate::problem::{Problem, ProblemBody};
use crate::routes::batch::Done;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;

/// The results of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentBatch)]
pub(crate) struct BatchView<'a> {
    /// Always `payment_batch`.
    #[schema(value_type = String, example = "payment_batch")]
    object: &'static str,
    /// How many results there are of each kind.
    counts: CountsView,
    /// What became of each payment, in the order they were sent.
    #[schema(value_type = Vec<ResultView>)]
    results: Results<'a>,
}

/// How many results of a batch there are of each kind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentBatchCounts)]
pub(crate) struct CountsView {
    /// How many have a payment.
    payments: usize,
    /// How many have an error.
    errors: usize,
    /// How many were given before.
    replayed: usize,
}

/// What became of one payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentBatchResult)]
pub(crate) struct ResultView<'a> {
    /// Its place in the list, from 0.
    index: usize,
    /// The status that the payment would have been answered with alone: 201, 202, or that of the error.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// Whether this reply was given before.
    replayed: bool,
    /// The payment, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PaymentView>)]
    payment: Option<&'a RawValue>,
    /// Why there is none. `field` is a JSON pointer into the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemBody>)]
    error: Option<&'a RawValue>,
}

/// Written one by one: what a payment's reply says is copied once.
#[derive(Debug)]
struct Results<'a>(&'a [Done]);

impl<'a> BatchView<'a> {
    /// The view of what became of a batch's payments.
    pub(crate) fn new(done: &'a [Done]) -> Self {
        let count = |holds: fn(&Done) -> bool| done.iter().filter(|done| holds(done)).count();
        let payments = count(is_payment);
        Self {
            object: "payment_batch",
            counts: CountsView {
                payments,
                errors: done.len() - payments,
                replayed: count(|done| done.as_ref().is_ok_and(|answer| answer.replayed)),
            },
            results: Results(done),
        }
    }
}

fn is_payment(done: &Done) -> bool {
    done.as_ref().is_ok_and(|answer| answer.reply.status < 400)
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (index, done) in self.0.iter().enumerate() {
            let (status, replayed, bytes) = match done {
                Ok(answer) => (answer.reply.status, answer.replayed, Cow::Borrowed(&answer.reply.body[..])),
                Err(problem) => (problem.code().status, false, Cow::Owned(problem.to_json(None))),
            };
            let unreadable = Problem::new(&codes::INTERNAL).to_json(None);
            let read: Result<&RawValue, _> = serde_json::from_slice(&bytes);
            // Written by this program: it can be read.
            let raw =
                read.or_else(|_| serde_json::from_slice(&unreadable)).map_err(serde::ser::Error::custom)?;
            let (payment, error) = if is_payment(done) { (Some(raw), None) } else { (None, Some(raw)) };
            list.serialize_element(&ResultView { index, status, replayed, payment, error })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tollgate_engine::Answer;
    use tollgate_store::commit::StoredReply;

    #[test]
    fn each_result_is_what_a_single_request_would_have_got() {
        let answer = |status, text: &str, replayed| {
            let reply = StoredReply { status, body: text.as_bytes().to_vec().into() };
            Ok(Answer { reply, replayed, waited: None })
        };
        let done = [
            answer(201, r#"{"id":"pay_1","amount":"1.00"}"#, false),
            Err(Problem::field("/payments/1/amount", "is required")),
            answer(202, r#"{"id":"pay_2"}"#, true),
        ];
        let json = serde_json::to_value(BatchView::new(&done)).unwrap();
        assert_eq!(json["counts"], json!({"payments": 2, "errors": 1, "replayed": 1}));
        let results = json["results"].as_array().unwrap();
        let expected = json!({"index": 0, "status": 201, "replayed": false, "payment": {"id": "pay_1", "amount": "1.00"}});
        assert_eq!(results[0], expected);
        assert_eq!((&results[1]["status"], &results[1]["payment"]), (&json!(422), &Value::Null));
        assert_eq!(results[1]["error"]["field"], "/payments/1/amount");
        assert_eq!((&results[2]["index"], &results[2]["replayed"]), (&json!(2), &json!(true)));
    }
}
