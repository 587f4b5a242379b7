-- name: remove_all_keys
-- Everything about some entities (a JSON list). A trigger counts it off.
DELETE FROM current WHERE entity IN (SELECT value FROM {each ? bigint});

-- name: remove_keys
-- Values that entities do not have any more. A trigger counts them off.
DELETE FROM current WHERE (path, key, entity) IN (VALUES {rows bigint, key, bigint});

-- name: add_keys
-- Values that entities have now.
INSERT INTO current (path, key, entity) VALUES {rows bigint, key, bigint} ON CONFLICT DO NOTHING;

-- name: add_keys_telling
-- The same; returns the paths of those that were not there.
INSERT INTO current (path, key, entity) VALUES {rows bigint, key, bigint} ON CONFLICT DO NOTHING RETURNING path;

-- name: having_paths
-- How many of some entities have a key at a path (path, entity).
SELECT column1, count(*) FROM (VALUES {rows bigint, bigint})
WHERE EXISTS (
    SELECT 1 FROM current INDEXED BY current_of_entity WHERE entity = column2 AND path = column1)
GROUP BY column1;

-- name: count_keys
-- Paths have more keys, and more entities have any.
INSERT INTO path (id, keys, entities) VALUES {rows bigint, bigint, bigint}
ON CONFLICT (id) DO UPDATE SET keys = path.keys + excluded.keys, entities = path.entities + excluded.entities;
