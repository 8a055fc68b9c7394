-- What has outlived its time. Rows of a bucket that is closed here stay: its mover compares them.
DELETE FROM webhook_outcomes AS present
USING (SELECT merchant_id, made FROM webhook_outcomes WHERE at_ms < $1 ORDER BY at_ms LIMIT $2) AS old
WHERE present.merchant_id = old.merchant_id
  AND present.made = old.made
  AND (SELECT get_bit(open, tollgate_bucket(old.merchant_id)) FROM shard WHERE id = 1) IS DISTINCT FROM 0
