-- One look a lane: from each lane's first job on to what follows the lane's last.
WITH RECURSIVE lanes AS (
    (SELECT key, record FROM job_due WHERE key >= $1 AND key < $2 ORDER BY key LIMIT 1)
    UNION ALL
    SELECT next.key, next.record
    FROM lanes
    CROSS JOIN LATERAL (
        SELECT key, record FROM job_due
        WHERE key > substr(lanes.key, 1, 17) || $3::bytea AND key < $2
        ORDER BY key LIMIT 1
    ) AS next
)
SELECT key, record FROM lanes LIMIT $4
