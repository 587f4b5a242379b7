-- Statements of the log's segment files.

-- name: schema
-- A segment is a part of a lane. `segment` has one row: the order and the total of the lane before the first
-- entry, when the file was made (µs), and whether it is finished (`sealed`), which is its last change.
-- `entry.latest` is the largest append time of the segment so far; `entry.total` the running total of the
-- bytes of all bodies of the lane, removed ones included. Every row has a checksum of its other columns.
-- `producer` is used in the DERIVED lane: the last outbox key taken from each producer. `idempotency` is used
-- in the MAIN lane: the keys of requests accepted while this was the newest segment.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    first INTEGER NOT NULL,
    base_order INTEGER NOT NULL,
    base_total INTEGER NOT NULL,
    created INTEGER NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE entry (
    offset INTEGER PRIMARY KEY,
    entry_order INTEGER NOT NULL,
    append_time INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    total INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE producer (
    partition INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    key INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    offset INTEGER NOT NULL,
    append_time INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- name: insert_segment
-- Write the one row of a new segment.
INSERT INTO segment (id, first, base_order, base_total, created, checksum) VALUES (1, ?, ?, ?, ?, ?);

-- name: seal
-- Finish the segment: no entry follows in this file.
UPDATE segment SET sealed = 1;

-- name: segment
-- The row of the segment, for its checksum to be verified.
SELECT first, base_order, base_total, created, checksum FROM segment;

-- name: tail
-- The end of the segment; if it has no entry, the end of the lane before it.
SELECT first, sealed, created, base_total, coalesce(last.offset, first - 1),
       coalesce(last.entry_order, base_order), coalesce(last.latest, 0), coalesce(last.total, base_total)
FROM segment
LEFT JOIN (SELECT offset, entry_order, latest, total FROM entry ORDER BY offset DESC LIMIT 1) AS last;

-- name: end
-- Whether the segment is finished, and its last offset; if it has no entry, that of the lane before it.
SELECT sealed, coalesce((SELECT max(offset) FROM entry), first - 1) FROM segment;

-- name: insert_entry
-- Add one entry at the end.
INSERT INTO entry (offset, entry_order, append_time, latest, total, checksum, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: entries_after
-- Entries above an offset in order.
SELECT offset, entry_order, append_time, latest, total, checksum, body FROM entry
WHERE offset > ? ORDER BY offset;

-- name: entries_before
-- Entries below an offset, newest first.
SELECT offset, entry_order, append_time, latest, total, checksum, body FROM entry
WHERE offset < ? ORDER BY offset DESC;

-- name: total_until
-- The running total at an offset; at one before the first entry, the total before the segment.
SELECT coalesce(
    (SELECT total FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT 1),
    (SELECT base_total FROM segment)
);

-- name: next_after
-- Order and append time of the first entry above an offset.
SELECT entry_order, append_time FROM entry WHERE offset > ? ORDER BY offset LIMIT 1;

-- name: offsets_until
-- Of those of some orders (a JSON list) that the lane had reached before the segment: the last offset with
-- that order or one below, found by halving.
WITH RECURSIVE search (wanted, low, high) AS (
    SELECT orders.value, first - 1, coalesce((SELECT max(offset) FROM entry), first - 1)
    FROM segment CROSS JOIN json_each(?) AS orders WHERE orders.value >= base_order
    UNION ALL
    SELECT
        wanted,
        iif((SELECT entry_order FROM entry WHERE offset <= (low + high + 1) / 2 ORDER BY offset DESC LIMIT 1)
            > wanted, low, (low + high + 1) / 2),
        iif((SELECT entry_order FROM entry WHERE offset <= (low + high + 1) / 2 ORDER BY offset DESC LIMIT 1)
            > wanted, (low + high + 1) / 2 - 1, high)
    FROM search WHERE low < high
)
SELECT wanted, low FROM search WHERE low = high;

-- name: waiting
-- Some offsets (a JSON list) with the running total there, and the append time of the first entry above.
SELECT
    offsets.value,
    coalesce((SELECT total FROM entry WHERE offset <= offsets.value ORDER BY offset DESC LIMIT 1), base_total),
    (SELECT append_time FROM entry WHERE offset > offsets.value ORDER BY offset LIMIT 1)
FROM json_each(?) AS offsets CROSS JOIN segment;

-- name: latest_at
-- The largest append time of the segment up to an offset.
SELECT latest FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT 1;

-- name: producer_keys
-- The last outbox key taken from every producer.
SELECT partition, lane, key, checksum FROM producer;

-- name: producer_key
-- The last outbox key taken from one producer.
SELECT partition, lane, key, checksum FROM producer WHERE partition = ? AND lane = ?;

-- name: set_producer_key
-- Remember the last outbox key taken from one producer.
INSERT INTO producer (partition, lane, key, checksum) VALUES (?, ?, ?, ?)
ON CONFLICT (partition, lane) DO UPDATE SET key = excluded.key, checksum = excluded.checksum;

-- name: find_idempotency_key
-- The append with a key, unless everything until it is older than the window.
SELECT key, digest, offset, append_time, latest, checksum FROM idempotency WHERE key = ? AND latest >= ?;

-- name: set_idempotency_key
-- Remember the key of an append; one that is older than the window may be used again.
INSERT OR REPLACE INTO idempotency (key, digest, offset, append_time, latest, checksum) VALUES (?, ?, ?, ?, ?, ?);

-- name: idempotency_keys
-- All keys of the segment.
SELECT key, digest, offset, append_time, latest, checksum FROM idempotency;

-- name: forget_idempotency_key
-- A key whose row is damaged.
DELETE FROM idempotency WHERE key = ?;

-- name: forget_producer_key
-- The same for a producer.
DELETE FROM producer WHERE partition = ? AND lane = ?;

-- name: tables
-- What the file should have, as it was made.
SELECT group_concat(sql) FROM sqlite_schema;

-- name: entries_of_format_1
-- The entries of a segment of format 1. Append times were orders, because they grew.
SELECT offset, append_time, append_time, append_time, total, body FROM entry_1 ORDER BY offset;

-- name: producers_of_format_1
-- Its producer keys.
SELECT partition, lane, key FROM producer_1;

-- name: keys_of_format_1
-- Its idempotency keys.
SELECT key, digest, offset, append_time, append_time FROM idempotency_1;

-- name: segment_of_format_1
-- Its one row.
SELECT first, base_time, base_total, created, sealed FROM segment_1;

-- name: end_of_format_1
-- Its end: the last offset, the order and the total there; if it has no entry, those of the lane before it.
SELECT coalesce(max(offset), first - 1), coalesce(max(append_time), base_time), coalesce(max(entry.total), base_total)
FROM segment LEFT JOIN entry;
