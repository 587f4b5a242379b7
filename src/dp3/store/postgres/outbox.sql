-- name: last_id
-- The last id that was given in a table.
SELECT id FROM last_id WHERE name = ?;

-- name: forget_id
-- Before another one is noted; a table that never had a row has none.
DELETE FROM last_id WHERE name = ?;

-- name: note_id
-- The next id will be above this one.
INSERT INTO last_id (name, id) VALUES (?, ?);
