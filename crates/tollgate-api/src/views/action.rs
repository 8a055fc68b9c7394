//! What the customer has to do.

use crate::pages::waiting::hand_over_path;
use serde::Serialize;
use tollgate_core::outcome::NextAction;
use tollgate_core::payment::Payment;
use utoipa::ToSchema;

/// What the customer has to do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = NextAction)]
pub(crate) enum NextActionView<'a> {
    /// Open this page.
    Redirect {
        /// Absolute URL.
        #[schema(value_type = String)]
        url: &'a str,
    },
    /// Open this link on the phone.
    UpiIntent {
        /// `upi://pay?…`
        #[schema(value_type = String)]
        uri: &'a str,
    },
    /// Scan this link as a QR code.
    UpiQr {
        /// `upi://pay?…`
        #[schema(value_type = String)]
        uri: &'a str,
        /// The code as an SVG picture: a path of this gateway.
        svg: String,
        /// The code as a PNG picture: a path of this gateway.
        png: String,
    },
    /// Approve the request in the UPI app.
    UpiCollect,
    /// Send a form from the customer's browser: open `page`, or post the fields yourself.
    Form {
        /// A page that sends the form at once: a path of this gateway.
        page: String,
        /// Where the form goes, by POST.
        #[schema(value_type = String)]
        url: &'a str,
        /// Its fields, in order.
        fields: Vec<FieldView<'a>>,
    },
    /// Open the page that the bank sent.
    Page {
        /// The bank's page: a path of this gateway.
        page: String,
    },
}

/// A field of a form.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FormField)]
pub(crate) struct FieldView<'a> {
    /// Its name.
    #[schema(value_type = String)]
    name: &'a str,
    /// Its value.
    #[schema(value_type = String)]
    value: &'a str,
}

impl<'a> NextActionView<'a> {
    pub(crate) fn new(payment: &'a Payment) -> Option<Self> {
        let page = || hand_over_path(payment.merchant_id, payment.id);
        Some(match payment.next_action.as_ref()? {
            NextAction::Redirect { url } => Self::Redirect { url },
            NextAction::UpiIntent { uri } => Self::UpiIntent { uri },
            NextAction::UpiQr { uri } => {
                Self::UpiQr { uri, svg: format!("{}/qr.svg", page()), png: format!("{}/qr.png", page()) }
            }
            NextAction::UpiCollect => Self::UpiCollect,
            NextAction::Form { url, fields } => Self::Form {
                page: page(),
                url,
                fields: fields.iter().map(|(name, value)| FieldView { name, value }).collect(),
            },
            NextAction::Page { .. } => Self::Page { page: page() },
        })
    }
}
