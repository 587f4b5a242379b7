-- name: send
-- A message for a worker.
INSERT INTO control (worker, action, args, sent) VALUES (?, ?, ?, ?) RETURNING id;

-- name: forget_done
-- Messages sent before a moment whose results nobody will ask for.
DELETE FROM control WHERE result IS NOT NULL AND sent < ?;

-- name: pending
-- What a worker has not done yet, in the order of sending.
SELECT id, action, args FROM control WHERE worker = ? AND result IS NULL ORDER BY id;

-- name: result
-- The result of a message that is done.
SELECT id, result FROM control WHERE id = ? AND result IS NOT NULL;
