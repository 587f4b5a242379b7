-- name: packed_until
-- Up to which key everything is packed, by lane, least of a worker's partitions.
SELECT position.lane, min(coalesce(packed_until.key, -1))
FROM position LEFT JOIN packed_until USING (lane, partition)
WHERE position.partition % :worker_processes = :worker
GROUP BY position.lane;

-- name: begin_packing
-- Note up to which key a worker packs its partitions in a lane.
INSERT INTO packed_until (lane, partition, key, begun)
SELECT lane, partition, -1, :until FROM position
WHERE lane = :lane AND partition % :worker_processes = :worker
ON CONFLICT (lane, partition) DO UPDATE SET begun = excluded.begun;

-- name: end_packing
-- Up to a key all that a worker began to pack in a lane is packed.
UPDATE packed_until SET key = max(key, :until)
WHERE lane = :lane AND partition % :worker_processes = :worker;

-- name: value
-- What a data-point says.
SELECT v FROM incoming WHERE key = ?;

-- name: any_packed
-- Whether any of a range of entities has packed rows.
SELECT EXISTS (SELECT 1 FROM packed WHERE entity BETWEEN ? AND ?);

-- name: last_parts
-- The last rows of subjects, as one text.
SELECT json_group_array(json_array(entity, attr, tag, part, oldest, points, hex(v), hex(segments), first, last))
FROM (VALUES {rows bigint, bigint, bigint}) AS wanted CROSS JOIN packed
    ON entity = column1 AND attr = column2 AND tag = column3 AND part = (
        SELECT max(part) FROM packed WHERE entity = column1 AND attr = column2 AND tag = column3);

-- name: remove_fresh
-- A range of fresh rows of a partition that are packed now.
DELETE FROM fresh
WHERE (entity, attr, key) > (:entity, :attr, :key) AND (entity, attr, key) <= (:last_entity, :last_attr, :last_key)
    AND key <= iif(key >> 62 > 0, CAST(:derived AS BIGINT), CAST(:main AS BIGINT));

-- name: trim_incoming
-- What has come in up to the key to which all partitions are packed; the first rows of a lane.
DELETE FROM incoming WHERE key >= :lane << 62 AND key <= (
    SELECT max(key) FROM (
        SELECT key FROM incoming
        WHERE key >= :lane << 62 AND key <= (
            SELECT min(coalesce(packed_until.key, -1))
            FROM position LEFT JOIN packed_until USING (lane, partition) WHERE position.lane = :lane)
        ORDER BY key LIMIT :limit));

-- name: put_packed
-- Packed rows as they are now.
INSERT INTO packed (entity, attr, tag, part, oldest, points, v, segments, first, last)
VALUES {rows bigint, bigint, bigint, bigint, bigint, bigint, bytea, bytea, bigint, bigint}
ON CONFLICT (entity, attr, tag, part) DO UPDATE SET oldest = excluded.oldest, points = excluded.points, v = excluded.v,
    segments = excluded.segments, first = excluded.first, last = excluded.last;

-- name: recent
-- The scans of attributes of entities, as one text.
SELECT json_group_array(json_array(entity, attr, at, scan))
FROM (VALUES {rows bigint, bigint}) AS wanted CROSS JOIN recent ON entity = column1 AND attr = column2;

-- name: scans_to_make
-- Some attributes of entities in a range of keys whose scan is to be made by now.
SELECT entity, attr, at FROM recent INDEXED BY recent_to_make
WHERE scan IS NULL AND entity >= ? AND entity < ? AND at <= ? LIMIT ?;
