-- name: content
-- What is known under a name.
SELECT content FROM model WHERE name = ?;

-- name: put
-- Note something under a name.
INSERT INTO model (name, content) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET content = excluded.content;

-- name: forget
-- Nothing is known under a name.
DELETE FROM model WHERE name = ?;

-- name: outdated
-- What the log has from former models.
SELECT etype, attr, v, lane, offset FROM outdated;

-- name: put_outdated
-- The log has more of it.
INSERT INTO outdated (etype, attr, v, lane, offset) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (etype, attr, v, lane) DO UPDATE SET offset = max(outdated.offset, excluded.offset);

-- name: forget_outdated
-- What all partitions have read does not come again.
DELETE FROM outdated
WHERE offset <= (SELECT min(position.offset) FROM position WHERE position.lane = outdated.lane);

-- name: attr_rows
-- Values (of a JSON list in hexadecimal; null: all) of attributes (a JSON list of numbers): how many some entities
-- (a JSON list) have, and how many of the entities have any. Whoever keeps values in another table adds it here,
-- too.
SELECT attr.name, sum(stored.points), count(DISTINCT stored.entity)
FROM (
    SELECT plain.entity, plain.attr, plain.v, 1 AS points
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS one
    CROSS JOIN plain ON plain.entity = wanted.value AND plain.attr = one.value
    UNION ALL
    SELECT fresh.entity, fresh.attr, incoming.v, 1
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS one
    CROSS JOIN fresh ON fresh.entity = wanted.value AND fresh.attr = one.value
    CROSS JOIN incoming ON incoming.key = fresh.key
    UNION ALL
    SELECT packed.entity, packed.attr, packed.v, packed.points
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS one
    CROSS JOIN packed ON packed.entity = wanted.value AND packed.attr = one.value
) AS stored CROSS JOIN attr ON attr.id = stored.attr
WHERE CAST(:whole AS BOOLEAN) OR hex(stored.v) IN (SELECT value FROM {each :values text})
GROUP BY attr.name;
