-- name: recent_scan
-- The scan of an attribute of an entity.
SELECT at, scan FROM recent WHERE entity = ? AND attr = ?;

-- name: scan_moments
-- The moments of all scans of an attribute of an entity.
SELECT at FROM former_scan WHERE entity = ?1 AND attr = ?2 ORDER BY at;

-- name: former_scan_at
-- The scan at a moment.
SELECT at, scan FROM former_scan WHERE entity = ? AND attr = ? AND at = ?;

-- name: packed_between
-- Packed rows that may have something in a range of times: those that end in it or later, by the index; and of each
-- tag the last one, which has no bounds.
WITH RECURSIVE tags (tag) AS (
    SELECT min(tag) FROM packed WHERE entity = :entity AND attr = :attr
    UNION ALL
    SELECT (SELECT min(tag) FROM packed WHERE entity = :entity AND attr = :attr AND tag > tags.tag)
    FROM tags WHERE tag IS NOT NULL)
SELECT v, segments FROM packed INDEXED BY packed_by_time
WHERE entity = :entity AND attr = :attr AND last >= :since AND first <= :until
UNION ALL
SELECT v, segments FROM tags CROSS JOIN packed
    ON entity = :entity AND attr = :attr AND packed.tag = tags.tag AND part = (
        SELECT max(part) FROM packed WHERE entity = :entity AND attr = :attr AND tag = tags.tag)
WHERE last IS NULL;

-- name: all_packed
-- All packed rows of an attribute of an entity.
SELECT v, segments FROM packed WHERE entity = :entity AND attr = :attr;

-- name: cut_recent
-- Scans of attributes (a JSON list of entity, attribute, moment) are to be made anew if they are at later moments.
UPDATE recent SET scan = NULL, told_at = NULL, told = NULL, at = 0
FROM (SELECT value ->> 0 AS entity, value ->> 1 AS attr, value ->> 2 AS moment FROM {each :outdated bigint, bigint, bigint}) AS wanted
WHERE recent.entity = wanted.entity AND recent.attr = wanted.attr AND scan IS NOT NULL AND at > moment;

-- name: cut_former
-- Those at earlier moments go.
DELETE FROM former_scan WHERE (entity, attr, at) IN (
    SELECT former_scan.entity, former_scan.attr, former_scan.at FROM {each :outdated bigint, bigint, bigint} AS wanted
    CROSS JOIN former_scan ON former_scan.entity = wanted.value ->> 0 AND former_scan.attr = wanted.value ->> 1
        AND at > wanted.value ->> 2);

-- name: forget_recent
-- Scans of attributes (a JSON list of entity, attribute, moment) are to be made anew if they are not at later moments.
UPDATE recent SET scan = NULL, told_at = NULL, told = NULL, at = 0
FROM (SELECT value ->> 0 AS entity, value ->> 1 AS attr, value ->> 2 AS moment FROM {each :forgotten bigint, bigint, bigint}) AS wanted
WHERE recent.entity = wanted.entity AND recent.attr = wanted.attr AND scan IS NOT NULL AND at <= moment;

-- name: forget_former
-- Those at earlier moments go.
DELETE FROM former_scan WHERE (entity, attr, at) IN (
    SELECT former_scan.entity, former_scan.attr, former_scan.at FROM {each :forgotten bigint, bigint, bigint} AS wanted
    CROSS JOIN former_scan ON former_scan.entity = wanted.value ->> 0 AND former_scan.attr = wanted.value ->> 1
        AND at <= wanted.value ->> 2);

-- name: put_recent
-- Scans as they are now.
INSERT INTO recent (entity, attr, at, scan, told_at, told_until, told) VALUES {rows bigint, bigint, bigint, text, bigint, bigint, text}
ON CONFLICT (entity, attr) DO UPDATE SET
    at = excluded.at, scan = excluded.scan, told_at = excluded.told_at, told_until = excluded.told_until,
    told = excluded.told;

-- name: put_former
-- Scans at earlier moments.
INSERT INTO former_scan (entity, attr, at, scan) VALUES {rows bigint, bigint, bigint, text}
ON CONFLICT (entity, attr, at) DO UPDATE SET
    scan = excluded.scan;
