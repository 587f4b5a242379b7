-- Statements of the log's segment files.

-- name: schema
-- A segment is a part of a lane. `segment` has one row: the state of the lane before the first entry,
-- when the file was made (µs), and whether it is finished (`sealed`), which is its last change.
-- `entry.total` is the running total of the bytes of all bodies of the lane, removed ones included.
-- `producer` is used in the DERIVED lane: the last outbox key taken from each producer.
-- `idempotency` is used in the MAIN lane: the keys of requests accepted while this was the newest segment.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    first INTEGER NOT NULL,
    base_time INTEGER NOT NULL,
    base_total INTEGER NOT NULL,
    created INTEGER NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE entry (
    offset INTEGER PRIMARY KEY,
    append_time INTEGER NOT NULL,
    total INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE producer (
    partition INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    offset INTEGER NOT NULL,
    append_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- name: insert_segment
-- Write the one row of a new segment.
INSERT INTO segment (id, first, base_time, base_total, created) VALUES (1, ?, ?, ?, ?);

-- name: seal
-- Finish the segment: no entry follows in this file.
UPDATE segment SET sealed = 1;

-- name: tail
-- The end of the segment; if it has no entry, the end of the lane before it.
SELECT sealed, created, base_total,
       coalesce(last.offset, first - 1), coalesce(last.append_time, base_time), coalesce(last.total, base_total)
FROM segment
LEFT JOIN (SELECT offset, append_time, total FROM entry ORDER BY offset DESC LIMIT 1) AS last;

-- name: end
-- Whether the segment is finished, and its last offset; if it has no entry, that of the lane before it.
SELECT sealed, coalesce((SELECT max(offset) FROM entry), first - 1) FROM segment;

-- name: insert_entry
-- Add one entry at the end.
INSERT INTO entry (offset, append_time, total, body) VALUES (?, ?, ?, ?);

-- name: entries_after
-- Entries above an offset in order.
SELECT offset, append_time, body FROM entry WHERE offset > ? ORDER BY offset;

-- name: entries_before
-- Entries below an offset, newest first.
SELECT offset, append_time, body FROM entry WHERE offset < ? ORDER BY offset DESC;

-- name: total_until
-- The running total at an offset; at one before the first entry, the total before the segment.
SELECT coalesce(
    (SELECT total FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT 1),
    (SELECT base_total FROM segment)
);

-- name: append_time_after
-- The append time of the first entry above an offset.
SELECT append_time FROM entry WHERE offset > ? ORDER BY offset LIMIT 1;

-- name: producer_keys
-- The last outbox key taken from every producer.
SELECT partition, lane, key FROM producer;

-- name: producer_key
-- The last outbox key taken from one producer.
SELECT key FROM producer WHERE partition = ? AND lane = ?;

-- name: set_producer_key
-- Remember the last outbox key taken from one producer.
INSERT INTO producer (partition, lane, key) VALUES (?, ?, ?)
ON CONFLICT (partition, lane) DO UPDATE SET key = excluded.key;

-- name: find_idempotency_key
-- The first append with a key, unless it is older than the window.
SELECT digest, offset, append_time FROM idempotency WHERE key = ? AND append_time >= ?;

-- name: set_idempotency_key
-- Remember the key of an append; one that is older than the window may be used again.
INSERT OR REPLACE INTO idempotency (key, digest, offset, append_time) VALUES (?, ?, ?, ?);

-- name: idempotency_keys
-- All keys of the segment.
SELECT key FROM idempotency;
