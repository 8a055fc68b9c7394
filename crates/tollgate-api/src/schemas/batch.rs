//! The documented shape of a batch's body.

use super::NewPaymentSchema;
use crate::routes::batch::ITEMS_MAX;
use std::borrow::Cow;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Many payments.
#[derive(Debug)]
pub(crate) struct NewBatchSchema;

/// One of them.
#[derive(Debug)]
pub(crate) struct NewBatchPaymentSchema;

impl PartialSchema for NewBatchSchema {
    fn schema() -> RefOr<Schema> {
        let payments = ArrayBuilder::new()
            .description(Some("The payments, each with its key."))
            .items(Ref::from_schema_name(NewBatchPaymentSchema::name()))
            .min_items(Some(1))
            .max_items(Some(ITEMS_MAX));
        let object = ObjectBuilder::new()
            .description(Some("Payments to be taken with one request of at most 2 MiB."))
            .property("payments", payments)
            .required("payments")
            .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::FreeForm(false)))
            .build();
        RefOr::T(object.into())
    }
}

impl ToSchema for NewBatchSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewPaymentBatch")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let item = (NewBatchPaymentSchema::name().into_owned(), NewBatchPaymentSchema::schema());
        schemas.push(item);
        NewPaymentSchema::schemas(schemas);
    }
}

impl PartialSchema for NewBatchPaymentSchema {
    /// A payment's own, and the key.
    fn schema() -> RefOr<Schema> {
        let schema = NewPaymentSchema::schema();
        let RefOr::T(Schema::Object(mut object)) = schema else {
            return schema;
        };
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "The payment's idempotency key, unlike every other's in the batch. Without it the request's `Idempotency-Key` and \
                 the payment's place in the list are its key; one of the two is required.",
            ))
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"))
            .build();
        object.properties.insert("idempotency_key".to_owned(), RefOr::T(key.into()));
        RefOr::T(object.into())
    }
}

impl ToSchema for NewBatchPaymentSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewBatchPayment")
    }
}
