-- name: aged
-- Of the next rows of an attribute that may have to be looked at those that have to and are a worker's, as one text;
-- how many there are, and the last of all. The index is in the order of steps of age, then of entities.
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
SELECT json_group_array(json_array(entity, :attr, tag, part, oldest)), (SELECT count(*) FROM scanned), (
    SELECT json_array(oldest, entity, tag, part) FROM scanned
    ORDER BY oldest >> 32 DESC, entity DESC, tag DESC, part DESC LIMIT 1)
FROM (
    SELECT entity, tag, part, oldest FROM scanned
    WHERE oldest < :before AND (entity >> 40) % :worker_processes = :worker ORDER BY entity, tag, part);

-- name: aged_rest
-- The rest of an entity's rows of a step of age.
SELECT entity, attr, tag, part, oldest FROM packed INDEXED BY packed_by_age
WHERE attr = :attr AND oldest >> 32 = :oldest >> 32 AND entity = :entity AND (tag, part) > (:tag, :part)
ORDER BY tag, part;

-- name: stored_rows
-- Packed rows (their places, with `oldest`); large values are null.
SELECT entity, attr, tag, part, oldest, iif(length(v) > 1024, NULL, v), segments, first, points
FROM (VALUES {rows bigint, bigint, bigint, bigint, bigint}) AS wanted CROSS JOIN packed
    ON entity = column1 AND attr = column2 AND tag = column3 AND part = column4;

-- name: value
-- The value of a packed row.
SELECT v FROM packed WHERE entity = ? AND attr = ? AND tag = ? AND part = ?;

-- name: any_begun
-- Whether retention has left rows of any of a range of entities.
SELECT EXISTS (SELECT 1 FROM packed WHERE first IS NOT NULL AND entity BETWEEN ? AND ?);

-- name: begun_before
-- Rows of scopes that began before a moment, but are not to be looked at before it.
SELECT packed.entity, packed.attr, tag, part, oldest, iif(length(v) > 1024, NULL, v), segments, first, points
FROM (VALUES {rows bigint, bigint, bigint, bigint, bigint}) AS wanted CROSS JOIN packed INDEXED BY packed_by_start
    ON entity = column1 AND attr = column2 AND first < column5 AND tag BETWEEN column3 AND column4
WHERE first IS NOT NULL AND oldest >= column5;

-- name: begun_between
-- Rows of a scope that began between two moments, the first of them; those that retention has not left by steps of
-- age.
WITH RECURSIVE step (number) AS (
    SELECT :first >> 32 UNION ALL SELECT number + 1 FROM step WHERE number < :last >> 32)
SELECT * FROM (
    SELECT entity, attr, tag, part, oldest, iif(length(v) > 1024, NULL, v), segments, first, points
    FROM step CROSS JOIN packed INDEXED BY packed_by_age
        ON attr = :attr AND oldest >> 32 = number AND entity = :entity
    WHERE tag BETWEEN :first_tag AND :last_tag AND oldest BETWEEN :first AND :last AND first IS NULL
    UNION ALL
    SELECT entity, attr, tag, part, oldest, iif(length(v) > 1024, NULL, v), segments, first, points
    FROM packed INDEXED BY packed_by_start
    WHERE entity = :entity AND attr = :attr AND first BETWEEN :first AND :last
        AND tag BETWEEN :first_tag AND :last_tag AND oldest >= :first)
ORDER BY coalesce(first, oldest) LIMIT :limit;

-- name: begun_between_any
-- The same where there are so many steps that it is better to look at all rows of the scope.
SELECT entity, attr, tag, part, oldest, iif(length(v) > 1024, NULL, v), segments, first, points FROM packed
WHERE entity = :entity AND attr = :attr AND tag BETWEEN :first_tag AND :last_tag
    AND oldest >= :first AND coalesce(first, oldest) BETWEEN :first AND :last
ORDER BY coalesce(first, oldest) LIMIT :limit;

-- name: scoped_rows
-- Packed rows of scopes (a JSON list).
SELECT entity, attr, tag, part, oldest, iif(length(v) > :large, NULL, v), segments, first, points
FROM {each :scopes bigint, bigint, bigint, bigint} AS wanted CROSS JOIN packed
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
    AND tag BETWEEN wanted.value ->> 2 AND wanted.value ->> 3;

-- name: any_unpacked
-- Whether any of a range of entities has observations that are not packed.
SELECT EXISTS (SELECT 1 FROM fresh WHERE entity BETWEEN ? AND ?);

-- name: unpacked
-- Observations of attributes of entities (a JSON list) that are not packed.
SELECT fresh.key, entity, attr, t1, t2, c, v
FROM {each ? bigint, bigint} AS wanted CROSS JOIN fresh ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
CROSS JOIN incoming ON incoming.key = fresh.key
WHERE c IS NOT NULL;

-- name: remove_rows
-- Packed rows of which nothing is left.
DELETE FROM packed WHERE (entity, attr, tag, part) IN (VALUES {rows bigint, bigint, bigint, bigint});

-- name: keep_row
-- What is left of a packed row. That nothing begins before `first` stays true; `last` is known if it was.
UPDATE packed SET
    oldest = ?, first = coalesce(?, first), last = iif(last IS NULL, NULL, CAST(? AS BIGINT)), points = ?, segments = ?
WHERE entity = ? AND attr = ? AND tag = ? AND part = ?;

-- name: put_pass
-- What a worker has done in a pass.
INSERT INTO retention_pass (worker, begun, updated, done, rows, points) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (worker, begun) DO UPDATE SET
    updated = excluded.updated, done = excluded.done, rows = excluded.rows, points = excluded.points;

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
