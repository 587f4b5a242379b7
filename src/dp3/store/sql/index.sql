-- name: remove_all_keys
-- Everything about some entities (a JSON list). A trigger counts it off.
DELETE FROM current WHERE entity IN (SELECT value FROM {each ? bigint});

-- name: remove_keys
-- Values that entities do not have any more. A trigger counts them off.
DELETE FROM current WHERE (path, key, entity) IN (VALUES {rows bigint, key, bigint});

-- name: add_keys
-- Values that entities have now.
INSERT INTO current (path, key, entity) VALUES {rows bigint, key, bigint} ON CONFLICT DO NOTHING;

-- name: having_path
-- How many of some entities (a JSON list) have a key at a path.
SELECT count(*) FROM {each :entities bigint} AS wanted
WHERE EXISTS (
    SELECT 1 FROM current INDEXED BY current_of_entity WHERE entity = wanted.value AND path = :path);

-- name: count_keys
-- Paths have more keys, and more entities have any.
INSERT INTO path (id, keys, entities) VALUES {rows bigint, bigint, bigint}
ON CONFLICT (id) DO UPDATE SET keys = path.keys + excluded.keys, entities = path.entities + excluded.entities;
