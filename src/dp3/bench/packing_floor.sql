-- name: fresh
-- All that is to be packed, in the order of entities.
SELECT entity, attr, key, t1, t2, c, v FROM fresh CROSS JOIN incoming USING (key) ORDER BY entity, attr, key;

-- name: packed
-- What packing made of it, in its order.
SELECT entity, attr, tag, part, oldest, points, v, segments FROM packed ORDER BY entity, attr, tag, part;

-- name: put
-- A packed row.
INSERT INTO packed (entity, attr, tag, part, oldest, points, v, segments) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: remove
-- A fresh row.
DELETE FROM fresh WHERE entity = ? AND attr = ? AND key = ?;

-- name: remove_incoming
-- What it says.
DELETE FROM incoming WHERE key = ?;
