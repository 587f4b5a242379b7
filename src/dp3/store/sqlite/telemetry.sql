-- name: hook_sums
-- What all hooks did.
SELECT module, hook, family, context, executions, failures, duration_ns, created_tasks, allowed, denied
FROM hook_sum ORDER BY module, hook, family, context;

-- name: interval
-- The latest interval of a length, with the totals at the begin of the one before, at its begin, and now.
SELECT interval.begun, interval.before, interval.totals, total.totals
FROM interval CROSS JOIN total WHERE interval.span = ?;

-- name: sources
-- Sources with the latest end of validity, if any of their data-points had one.
SELECT name, t2 FROM source WHERE t2 IS NOT NULL ORDER BY name;

-- name: reports
-- What the workers say of themselves.
SELECT lease.worker, worker_report.time, worker_report.numbers
FROM lease JOIN worker_report USING (epoch) ORDER BY lease.worker;

-- name: page_after
-- The range of keys of the next entities.
SELECT min(key), max(key) FROM (SELECT key FROM entity WHERE key > ? ORDER BY key LIMIT ?);

-- name: attributes_between
-- How many entities of a range of keys have each attribute. Rows of deleted entities may still be there.
SELECT etype.name, attr.name, count(*)
FROM (
    SELECT plain.attr AS attr FROM entity CROSS JOIN plain ON plain.entity = entity.key
    WHERE entity.key BETWEEN ?1 AND ?2
    UNION ALL
    SELECT attr FROM (
        SELECT fresh.entity AS entity, fresh.attr AS attr
        FROM entity CROSS JOIN fresh ON fresh.entity = entity.key
        WHERE entity.key BETWEEN ?1 AND ?2
        UNION
        SELECT packed.entity, packed.attr
        FROM entity CROSS JOIN packed ON packed.entity = entity.key
        WHERE entity.key BETWEEN ?1 AND ?2
    )
) AS found
JOIN attr ON attr.id = found.attr
JOIN etype ON etype.id = attr.etype
GROUP BY found.attr;

-- name: sizes_between
-- Bytes of the values of each attribute, over the entities of a range of keys that have it.
SELECT etype.name, attr.name, count(*), min(found.bytes), max(found.bytes), sum(found.bytes)
FROM (
    SELECT plain.attr AS attr, length(plain.v) AS bytes
    FROM entity CROSS JOIN plain ON plain.entity = entity.key
    WHERE entity.key BETWEEN ?1 AND ?2
    UNION ALL
    SELECT attr, sum(bytes) FROM (
        SELECT fresh.entity AS entity, fresh.attr AS attr, length(incoming.v) AS bytes
        FROM entity CROSS JOIN fresh ON fresh.entity = entity.key CROSS JOIN incoming ON incoming.key = fresh.key
        WHERE entity.key BETWEEN ?1 AND ?2
        UNION ALL
        SELECT packed.entity, packed.attr, length(packed.v)
        FROM entity CROSS JOIN packed ON packed.entity = entity.key
        WHERE entity.key BETWEEN ?1 AND ?2
    )
    GROUP BY entity, attr
) AS found
JOIN attr ON attr.id = found.attr
JOIN etype ON etype.id = attr.etype
GROUP BY found.attr;

-- name: forget_sizes
-- Sizes that were measured before.
DELETE FROM attribute_size;

-- name: put_sizes
-- Sizes of the attributes of a type.
INSERT INTO attribute_size (etype, calculated, duration, attributes) VALUES (?, ?, ?, ?);

-- name: size_reports
-- Sizes as last measured.
SELECT etype, calculated, duration, attributes FROM attribute_size ORDER BY etype;
