-- name: forget_paths
-- Paths (a JSON list) have no keys any more.
DELETE FROM path_part WHERE id IN (SELECT value FROM {each ? bigint});

-- name: forget_etype
-- An entity type has no number any more, and no entities are counted.
WITH forgotten AS (DELETE FROM etype WHERE id = ? RETURNING id)
DELETE FROM entity_count WHERE etype IN (SELECT id FROM forgotten);
