-- name: fresh
-- All that is to be packed, in the order of the log.
SELECT key, entity, attr, t1, t2, c, v FROM fresh ORDER BY key;

-- name: packed
-- What packing made of it, in its order.
SELECT entity, attr, tag, part, oldest, points, v, segments FROM packed ORDER BY entity, attr, tag, part;

-- name: put
-- A packed row.
INSERT INTO packed VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: remove
-- A fresh row.
DELETE FROM fresh WHERE key = ?;
