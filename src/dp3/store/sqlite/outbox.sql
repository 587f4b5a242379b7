-- name: last_id
-- The last id that was given in a table.
SELECT seq FROM sqlite_sequence WHERE name = ?;

-- name: forget_id
-- Before another one is noted; a table that never had a row has none.
DELETE FROM sqlite_sequence WHERE name = ?;

-- name: note_id
-- The next id will be above this one.
INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?);
