-- name: has_fresh
-- Whether there is history that is not packed.
SELECT EXISTS (SELECT 1 FROM fresh);

-- name: fresh
-- Data-points that are not packed.
SELECT count(*) FROM fresh;

-- name: has_packing_begun
-- Whether packing has ever begun.
SELECT EXISTS (SELECT 1 FROM packed_until);

-- name: datapoints_of_history
-- Data-points that history stands for, and the rows that hold them.
SELECT
    (SELECT count(*) FROM fresh) + (SELECT coalesce(sum(points), 0) FROM packed),
    (SELECT count(*) FROM fresh) + (SELECT count(*) FROM packed);

-- name: reported
-- When the worker whose report is the oldest reported last; 0 before any has.
SELECT coalesce(min(time), 0) FROM worker_report JOIN lease USING (epoch);

-- name: entities
-- How many entities of a type there are.
SELECT count(*) FROM entity WHERE etype = (SELECT id FROM etype WHERE name = ?);

-- name: has_garbage
-- Whether rows of deleted entities are still to be removed.
SELECT EXISTS (SELECT 1 FROM garbage);

-- name: segments
-- All packed history, in its order.
SELECT entity, attr, v, segments FROM packed;
