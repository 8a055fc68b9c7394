SELECT event_sequence,
       (SELECT record FROM log_readers WHERE key = $1),
       (SELECT record FROM log_readers WHERE key = $2)
FROM log_head
WHERE id = 1
