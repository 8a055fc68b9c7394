//! Replies as long and as much alike as the gateway's: what is remembered under an idempotency key.

/// The reply to a payment. `number` is what is different in each besides its ids.
pub(crate) fn reply(id: &str, merchant: &str, number: u64) -> Vec<u8> {
    let (amount, cents) = (10 + number % 9_000, number % 100);
    let (score, weight) = (number % 9_973, number % 2_999);
    let at = format!(
        "2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        1 + number % 28,
        number % 24,
        number % 60,
        number % 59,
        number % 997
    );
    format!(
        r#"{{"id":"{id}","object":"payment","status":"completed","amount":"{amount}.{cents:02}","currency":"INR","payment_method":"upi","payment_method_details":{{"type":"upi","upi":{{"flow":"collect","vpa":"customer{number}@okbank"}}}},"capture_mode":"automatic","amount_capturable":"0.00","amount_captured":"{amount}.{cents:02}","amount_refunded":"0.00","amount_refundable":"{amount}.{cents:02}","fee":"{}.{cents:02}","merchant_id":"{merchant}","user_id":"user-{number}","customer":{{"name":null,"email":"customer@example.com","phone":null}},"description":"an order","statement_descriptor":null,"return_url":null,"metadata":{{"order":"4711"}},"processor":"razorpay","processor_payment_id":"pay_{number:014}","next_action":null,"failure":null,"risk":{{"score":"0.{score:04}","verdict":"allow","model":"synthetic-1-200000","rules":[],"reasons":[{{"feature":"amount_vs_merchant","value":"+{}.{} standard deviations","weight":"2.{weight:03}"}},{{"feature":"device_age","value":"not known","weight":"1.{weight:03}"}},{{"feature":"method","value":"upi","weight":"-0.{weight:03}"}},{{"feature":"device_24h","value":"{}","weight":"-0.{weight:03}"}}],"fallback":null,"holds_capture":false,"review":null,"label":null,"ip":null,"ip_country":null,"device_id":null,"card_fingerprint":null,"card_country":null}},"routing":{{"reason":"best_score","rule":null,"deadline_ms":60000,"considered":[{{"processor":"razorpay","score":"0.{score:04}","terms":{{"success":"1.0000","latency":"0.{weight:04}","cost":"1.0000"}},"success_rate":"0.{score:04}","latency_ms":{},"fee":"2.00"}}],"passed_over":[]}},"flags":[],"confirmed_by":null,"operation_in_progress":null,"expires_at":null,"created_at":"{at}","updated_at":"{at}"}}"#,
        amount / 50,
        number % 9,
        number % 7,
        number % 13,
        80 + number % 300,
    )
    .into_bytes()
}
