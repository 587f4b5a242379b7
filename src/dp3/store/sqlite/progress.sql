-- name: positions
-- What every partition has reached in every lane.
SELECT partition, lane, offset FROM position ORDER BY partition, lane;

-- name: pending_outbox
-- Tasks of a worker's partitions that wait for the log, oldest first.
SELECT id, partition, lane, source, after_us, tasks FROM outbox
WHERE id > :after AND partition % :worker_processes = :worker
ORDER BY id;

-- name: refused_between
-- Refused tasks of a range of entries.
SELECT offset, first FROM refused WHERE lane = ? AND offset BETWEEN ? AND ?;

-- name: forget_refused
-- Refused tasks of entries that are gone.
DELETE FROM refused WHERE lane = ? AND offset <= ?;

-- name: counters
-- All event counters.
SELECT name, value FROM counter;
