-- name: pending_outbox
-- Tasks of a worker's partitions that wait for the log, oldest first.
SELECT id, partition, lane, source, after_us, tasks FROM outbox
WHERE id > :after AND partition % :worker_processes = :worker
ORDER BY id;
