-- name: next_outbox_key
-- A key for tasks: the given moment, or what is above all keys of the stream so far.
INSERT INTO outbox_key (partition, lane, source) VALUES (?, ?, ?)
ON CONFLICT (partition, lane) DO UPDATE SET source = max(source + 1, excluded.source)
RETURNING source;

-- name: add_outbox
-- Tasks to go to the log.
INSERT INTO outbox (partition, lane, source, after_us, tasks) VALUES (?, ?, ?, ?, ?);
