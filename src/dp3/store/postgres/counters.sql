-- name: interval
-- As the common one; names in the totals are told as JSON tells them.
SELECT interval.begun, interval.before::json, interval.totals::json, total.totals::json
FROM interval CROSS JOIN total WHERE interval.span = ?;
