-- name: next_entity
-- A deleted entity of a worker's partitions that may have rows left.
SELECT garbage.entity
FROM position CROSS JOIN garbage
    ON garbage.entity BETWEEN position.partition << 40 AND ((position.partition + 1) << 40) - 1
WHERE position.lane = 0 AND position.partition % :worker_processes = :worker
LIMIT 1;

-- name: remove_history
-- Some history rows of an entity.
DELETE FROM fresh WHERE key IN (SELECT key FROM fresh WHERE entity = :entity LIMIT :limit);

-- name: remove_plain
-- Some plain values of an entity.
DELETE FROM plain
WHERE entity = :entity AND attr IN (SELECT attr FROM plain WHERE entity = :entity LIMIT :limit);

-- name: remove_ttl
-- Some lifetimes of an entity.
DELETE FROM ttl
WHERE entity = :entity AND name IN (SELECT name FROM ttl WHERE entity = :entity LIMIT :limit);

-- name: forget
-- Nothing is left of the entity.
DELETE FROM garbage WHERE entity = ?;
