SELECT audit_count, audit_last FROM log_head WHERE id = 1 FOR UPDATE
