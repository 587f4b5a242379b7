-- name: aged
-- Of the next rows of an attribute that may have to be looked at those that have to and are a worker's, as one text,
-- and the last of all. The index is in the order of steps of age, then of entities.
WITH scanned AS MATERIALIZED (
    SELECT * FROM (
        SELECT oldest, entity, tag, part FROM packed INDEXED BY packed_by_age
        WHERE attr = :attr AND oldest >> 32 = :oldest >> 32 AND (entity, tag, part) > (:entity, :tag, :part)
        ORDER BY entity, tag, part LIMIT :limit)
    UNION ALL
    SELECT * FROM (
        SELECT oldest, entity, tag, part FROM packed INDEXED BY packed_by_age
        WHERE attr = :attr AND oldest >> 32 > :oldest >> 32 AND oldest >> 32 <= :before >> 32
        ORDER BY oldest >> 32, entity, tag, part LIMIT :limit)
    LIMIT :limit)
SELECT json_group_array(json_array(entity, :attr, tag, part)), (
    SELECT json_array(oldest, entity, tag, part) FROM scanned
    ORDER BY oldest >> 32 DESC, entity DESC, tag DESC, part DESC LIMIT 1)
FROM (
    SELECT entity, tag, part FROM scanned
    WHERE oldest < :before AND (entity >> 40) % :worker_processes = :worker ORDER BY entity, tag, part);

-- name: stored_rows
-- Packed rows (a JSON list of their places) without values.
SELECT entity, attr, tag, part, oldest, x'', segments
FROM json_each(?) AS wanted CROSS JOIN packed
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
    AND tag = wanted.value ->> 2 AND part = wanted.value ->> 3;

-- name: scoped_rows
-- Packed rows of scopes (a JSON list).
SELECT entity, attr, tag, part, oldest, v, segments
FROM json_each(?) AS wanted CROSS JOIN packed
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
    AND tag BETWEEN wanted.value ->> 2 AND wanted.value ->> 3;

-- name: scoped_fresh
-- Observations of attributes of entities (a JSON list) that are not packed.
SELECT fresh.key, entity, attr, t1, t2, c, v
FROM json_each(?) AS wanted CROSS JOIN fresh ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
CROSS JOIN incoming ON incoming.key = fresh.key
WHERE c IS NOT NULL;

-- name: remove_rows
-- Packed rows (a JSON list of their places) of which nothing is left.
DELETE FROM packed WHERE (entity, attr, tag, part) IN (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?));

-- name: keep_row
-- What is left of a packed row.
UPDATE packed SET oldest = ?, points = ?, segments = ? WHERE entity = ? AND attr = ? AND tag = ? AND part = ?;

-- name: put_pass
-- What a worker has done in a pass.
INSERT OR REPLACE INTO retention_pass (worker, begun, updated, done, rows, points) VALUES (?, ?, ?, ?, ?, ?);

-- name: forget_passes
-- All but the newest records of a worker.
DELETE FROM retention_pass
WHERE worker = ?1 AND begun IN (
    SELECT begun FROM retention_pass WHERE worker = ?1 ORDER BY begun DESC LIMIT 10 OFFSET ?2);

-- name: last_pass
-- The latest pass of a worker.
SELECT worker, begun, updated, done, rows, points FROM retention_pass
WHERE worker = ? ORDER BY begun DESC LIMIT 1;

-- name: passes
-- The latest passes of all workers.
SELECT worker, begun, updated, done, rows, points FROM retention_pass ORDER BY begun DESC, worker LIMIT ?;
