-- name: keys_of_entity
-- All keys of an entity.
SELECT entity, path, key FROM current WHERE entity = ?;

-- name: remove_key
-- A value that an entity does not have any more. A trigger counts it off.
DELETE FROM current WHERE path = ? AND key = ? AND entity = ?;

-- name: add_key
-- A value that an entity has now.
INSERT INTO current (path, key, entity) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: has_path
-- An entity, if it has a key at a path.
SELECT :entity WHERE EXISTS (
    SELECT 1 FROM current INDEXED BY current_of_entity WHERE entity = :entity AND path = :path);

-- name: count_keys
-- A path has more keys, and more entities have any.
INSERT INTO path (id, keys, entities) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET keys = keys + excluded.keys, entities = entities + excluded.entities;
