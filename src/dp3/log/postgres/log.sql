-- name: schema
-- Each lane has a table. Times are microseconds since the epoch.
CREATE TABLE log_main (
    "offset" bigint PRIMARY KEY,
    "order" bigint NOT NULL UNIQUE,
    append_time bigint NOT NULL,
    -- The largest append time in the segment so far.
    latest bigint NOT NULL,
    -- Bytes of the body, and of all bodies of the lane up to this one.
    size bigint NOT NULL,
    total bigint NOT NULL,
    body bytea NOT NULL
);
-- It is compressed already.
ALTER TABLE log_main ALTER body SET STORAGE EXTERNAL;
CREATE TABLE log_derived (LIKE log_main INCLUDING ALL);

-- Pieces of a lane, as in `Tail`; the one that is not sealed takes the next entry.
CREATE TABLE log_segment (
    lane bigint NOT NULL,
    first bigint NOT NULL,
    sealed boolean NOT NULL,
    created bigint NOT NULL,
    base_total bigint NOT NULL,
    "offset" bigint NOT NULL,
    "order" bigint NOT NULL,
    latest bigint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (lane, first)
) WITH (fillfactor = 50);

-- The last key taken from every producer.
CREATE TABLE log_producer (
    partition bigint NOT NULL,
    stream bigint NOT NULL,
    key bigint NOT NULL,
    PRIMARY KEY (partition, stream)
);

-- Requests with a key: the last entry of each, and the first offset of its segment.
CREATE TABLE log_request (
    key text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL,
    "offset" bigint NOT NULL,
    append_time bigint NOT NULL,
    latest bigint NOT NULL,
    segment bigint NOT NULL
);
CREATE INDEX log_request_by_segment ON log_request (segment);

-- name: begin_lane
-- The first segment of a lane.
INSERT INTO log_segment SELECT %(lane)s, 1, false, %(now)s, 0, 0, 0, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM log_segment WHERE lane = %(lane)s) ON CONFLICT DO NOTHING;

-- name: segments
-- All segments of a lane, oldest first.
SELECT first, sealed, created, base_total, "offset", "order", latest, total
FROM log_segment WHERE lane = %(lane)s ORDER BY first;

-- name: end
-- The segment at the end.
SELECT first, sealed, created, base_total, "offset", "order", latest, total
FROM log_segment WHERE lane = %(lane)s AND NOT sealed;

-- name: locked_end
-- The same; nobody else appends to the lane until the transaction ends.
SELECT first, sealed, created, base_total, "offset", "order", latest, total
FROM log_segment WHERE lane = %(lane)s AND NOT sealed FOR UPDATE;

-- name: heads
-- The last offsets of both lanes.
SELECT "offset" FROM log_segment WHERE NOT sealed ORDER BY lane;

-- name: seal
-- The segment gets no further entry.
UPDATE log_segment SET sealed = true WHERE lane = %(lane)s AND first = %(first)s;

-- name: add_segment
-- The segment after it.
INSERT INTO log_segment VALUES (
    %(lane)s, %(first)s, false, %(created)s, %(total)s, %(offset)s, %(order)s, 0, %(total)s);

-- name: move_end
-- The segment ends after more entries.
UPDATE log_segment SET "offset" = %(offset)s, "order" = %(order)s, latest = %(latest)s, total = %(total)s
WHERE lane = %(lane)s AND first = %(first)s;

-- name: add_entries
-- Entries, one after the other.
INSERT INTO {lane} ("offset", "order", append_time, latest, size, total, body)
SELECT * FROM unnest(
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[]);

-- name: requests
-- What is known of some keys of requests.
SELECT key, digest, "offset", append_time, latest, segment FROM log_request WHERE key = ANY (%(keys)s);

-- name: forget_requests
-- Keys of requests that are too old; but not those that were used again meanwhile.
DELETE FROM log_request
USING unnest(%(keys)s::text[], %(offsets)s::bigint[]) AS old (key, nth)
WHERE log_request.key = old.key AND log_request."offset" = old.nth;

-- name: add_requests
-- Keys of requests. Raises if one is known.
INSERT INTO log_request (key, digest, "offset", append_time, latest, segment)
SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]);

-- name: producer_keys
-- The last key taken from every producer.
SELECT partition, stream, key FROM log_producer;

-- name: keys_of_producers
-- The same of some. They are locked by the end of their lane.
SELECT log_producer.partition, log_producer.stream, key
FROM unnest(%s::bigint[], %s::bigint[]) AS wanted (partition, stream) JOIN log_producer USING (partition, stream);

-- name: put_producer_keys
-- The last keys now.
INSERT INTO log_producer (partition, stream, key) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (partition, stream) DO UPDATE SET key = excluded.key;

-- name: entries_after
-- The next entries, as many as have about so many bytes if they are like those of the segment at the end.
SELECT "offset", "order", append_time, body FROM {lane} WHERE "offset" > %(after)s ORDER BY "offset"
LIMIT (
    SELECT least(4096, 1 + %(bytes)s * greatest("offset" - first + 1, 1) / greatest(total - base_total, 1))
    FROM log_segment WHERE lane = %(lane)s AND NOT sealed);

-- name: entries_before
-- The entries before an offset, newest first, likewise.
SELECT "offset", "order", append_time, body FROM {lane} WHERE "offset" < %(before)s ORDER BY "offset" DESC
LIMIT (
    SELECT least(4096, 1 + %(bytes)s * greatest("offset" - first + 1, 1) / greatest(total - base_total, 1))
    FROM log_segment WHERE lane = %(lane)s AND NOT sealed);

-- name: next_after
-- Order and append time of the next entry.
SELECT "order", append_time FROM {lane} WHERE "offset" > %(after)s ORDER BY "offset" LIMIT 1;

-- name: totals_until
-- Bytes of all entries up to some offsets; those of all that were removed count as one.
SELECT wanted.nth, coalesce(
    (SELECT total FROM {lane} WHERE "offset" <= wanted.nth ORDER BY "offset" DESC LIMIT 1),
    (SELECT base_total FROM log_segment WHERE lane = %(lane)s ORDER BY first LIMIT 1))
FROM unnest(%(offsets)s::bigint[]) AS wanted (nth);

-- name: waiting
-- The same, with the append time of the entry that follows.
SELECT wanted.nth, coalesce(
    (SELECT total FROM {lane} WHERE "offset" <= wanted.nth ORDER BY "offset" DESC LIMIT 1),
    (SELECT base_total FROM log_segment WHERE lane = %(lane)s ORDER BY first LIMIT 1)),
    (SELECT append_time FROM {lane} WHERE "offset" > wanted.nth ORDER BY "offset" LIMIT 1)
FROM unnest(%(offsets)s::bigint[]) AS wanted (nth);

-- name: offsets_until
-- The last offsets with some orders or one below.
SELECT wanted.nth, coalesce(
    (SELECT "offset" FROM {lane} WHERE "order" <= wanted.nth ORDER BY "order" DESC LIMIT 1), 0)
FROM unnest(%(orders)s::bigint[]) AS wanted (nth);

-- name: latest_at
-- The largest append time in the segment up to an entry.
SELECT latest FROM {lane} WHERE "offset" = %(offset)s;

-- name: remove_entries
-- The entries of a segment.
DELETE FROM {lane} WHERE "offset" BETWEEN %(first)s AND %(last)s;

-- name: remove_segment
-- The segment.
DELETE FROM log_segment WHERE lane = %(lane)s AND first = %(first)s AND sealed;

-- name: remove_requests
-- The keys of requests in a segment of the main lane.
DELETE FROM log_request WHERE segment = %(first)s;

-- name: has_entry
-- Whether there is this entry.
SELECT 1 FROM {lane} WHERE "offset" = %(offset)s AND append_time = %(append_time)s AND body = %(body)s;

-- name: disk_bytes
-- The size of a lane's table and indexes.
SELECT pg_total_relation_size('{lane}'::regclass);
