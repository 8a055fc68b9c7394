SELECT sequence FROM events WHERE merchant_id = $1 AND payment_id = $2 AND version = $3
