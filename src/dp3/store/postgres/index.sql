-- name: count_keys
-- Paths have more keys, and more entities have any.
INSERT INTO path_part (id, keys, entities) VALUES {rows bigint, bigint, bigint}
ON CONFLICT (id, writer) DO UPDATE SET
    keys = path_part.keys + excluded.keys, entities = path_part.entities + excluded.entities;
