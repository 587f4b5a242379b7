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
GROUP BY etype.name, attr.name;

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
GROUP BY etype.name, attr.name;

-- name: forget_sizes
-- Sizes that were measured before.
DELETE FROM attribute_size;

-- name: put_sizes
-- Sizes of the attributes of a type.
INSERT INTO attribute_size (etype, calculated, duration, attributes) VALUES (?, ?, ?, ?);

-- name: size_reports
-- Sizes as last measured.
SELECT etype, calculated, duration, attributes FROM attribute_size ORDER BY etype;
