-- name: pending
-- Tasks of a worker's partitions that wait for the log, oldest first.
SELECT id, partition, lane, source, after_order, tasks FROM outbox
WHERE id > :after AND partition % :worker_processes = :worker
ORDER BY id;

-- name: next_key
-- A key for tasks: the given moment, or what is above all keys of the stream so far.
INSERT INTO outbox_key (partition, lane, source) VALUES (?, ?, ?)
ON CONFLICT (partition, lane) DO UPDATE SET source = max(outbox_key.source + 1, excluded.source)
RETURNING source;

-- name: last_key
-- The last key of tasks in a stream.
SELECT source FROM outbox_key WHERE partition = ? AND lane = ?;

-- name: last_keys
-- The same of some streams (partition, stream); of those that have one.
SELECT partition, lane, source
FROM (VALUES {rows bigint, bigint}) AS wanted CROSS JOIN outbox_key ON partition = wanted.column1 AND lane = wanted.column2;

-- name: put_keys
-- The same, after more.
INSERT INTO outbox_key (partition, lane, source) VALUES {rows bigint, bigint, bigint}
ON CONFLICT (partition, lane) DO UPDATE SET
    source = excluded.source;

-- name: add
-- Tasks to go to the log.
INSERT INTO outbox (partition, lane, source, after_order, tasks) VALUES {rows bigint, bigint, bigint, bigint, bytea};

-- name: remove
-- Tasks that a worker has brought to the log.
DELETE FROM outbox WHERE id <= :until AND partition % :worker_processes = :worker;
