SELECT sequence,
       (SELECT record FROM log_readers WHERE key = $1),
       (SELECT record FROM log_readers WHERE key = $2)
FROM outcome_head
WHERE id = 1
