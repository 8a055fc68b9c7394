SELECT count(*)
FROM (SELECT 1
FROM job_due
WHERE key >= $1 AND key <= $2
LIMIT $3) AS counted
