-- name: packed_until
-- Up to which key everything is packed, by lane; least of a worker's partitions.
SELECT position.lane, min(coalesce(packed_until.key, -1))
FROM position LEFT JOIN packed_until USING (lane, partition)
WHERE position.partition % :worker_processes = :worker
GROUP BY position.lane;

-- name: begin_packing
-- Note up to which key a worker packs its partitions in a lane.
INSERT INTO packed_until (lane, partition, key, begun, last_entity)
SELECT lane, partition, -1, :until, coalesce(last_key, -1)
FROM position LEFT JOIN key_space USING (partition)
WHERE lane = :lane AND partition % :worker_processes = :worker
ON CONFLICT DO UPDATE SET begun = excluded.begun, last_entity = excluded.last_entity
    WHERE excluded.begun > begun;

-- name: end_packing
-- Up to a key all that a worker began to pack in a lane is packed.
UPDATE packed_until SET key = max(key, :until)
WHERE lane = :lane AND partition % :worker_processes = :worker;

-- name: scan_fresh
-- Of the next fresh rows those of a worker, as one text each for keys and sizes, and the last key of all.
WITH scanned AS MATERIALIZED (
    SELECT key, entity, attr, length(v) AS size FROM fresh
    WHERE key > :after AND key <= :until ORDER BY key LIMIT :limit)
SELECT json_group_array(json_array(key, size)), (SELECT max(key) FROM scanned)
FROM (
    SELECT key, size FROM scanned
    WHERE (entity >> 40) % :worker_processes = :worker ORDER BY entity, attr);

-- name: fresh_groups
-- Fresh rows (a JSON list of keys) by value, as one text.
SELECT '[' || coalesce(group_concat(
    '[' || entity || ',' || attr || ',"' || hex(v) || '",' || iif(timeseries, 'true', 'false') || ',' || stretches || ']'), '') || ']'
FROM (
    SELECT entity, attr, v, c IS NULL AS timeseries, json_group_array(json_array(t1, t2, c, 1)) AS stretches
    FROM json_each(?) AS wanted CROSS JOIN fresh ON fresh.key = wanted.value
    GROUP BY entity, attr, v, c IS NULL);

-- name: last_parts
-- The last rows of subjects (a JSON list), as one text.
SELECT json_group_array(json_array(entity, attr, tag, part, oldest, points, hex(v), hex(segments)))
FROM json_each(?) AS wanted CROSS JOIN packed
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1 AND tag = wanted.value ->> 2
WHERE part = (
    SELECT max(part) FROM packed AS other
    WHERE other.entity = packed.entity AND other.attr = packed.attr AND other.tag = packed.tag);

-- name: remove_fresh
-- Fresh rows (a JSON list of keys) that are packed now.
DELETE FROM fresh WHERE key IN (SELECT value FROM json_each(?));

-- name: put_packed
-- Packed rows as they are now.
INSERT OR REPLACE INTO packed (entity, attr, tag, part, oldest, points, v, segments) VALUES {rows};
