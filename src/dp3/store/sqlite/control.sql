-- name: send
-- A message for a worker. Ids grow with time, also when the state was replaced by an older copy: the log takes
-- tasks that messages lead to only under ids that it has not seen yet.
INSERT INTO control (id, worker, action, args, sent)
SELECT max(?4, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'control'), 0)), ?1, ?2, ?3, ?4
RETURNING id;

-- name: pending_count
-- How many messages are not done.
SELECT count(*) FROM control WHERE result IS NULL;

-- name: give_up
-- The same result for all messages that are not done.
UPDATE control SET result = ? WHERE result IS NULL;

-- name: forget_done
-- Messages sent before a moment whose results nobody will ask for.
DELETE FROM control WHERE result IS NOT NULL AND sent < ?;

-- name: pending
-- What a worker has not done yet, in the order of sending.
SELECT id, action, args FROM control WHERE worker = ? AND result IS NULL ORDER BY id;

-- name: results
-- The results of those of some messages (a JSON list) that are done.
SELECT control.id, control.result
FROM json_each(?) AS wanted CROSS JOIN control ON control.id = wanted.value WHERE control.result IS NOT NULL;

-- name: progress
-- How far those of some messages (a JSON list) are that take long.
SELECT message, shown, mark FROM json_each(?) AS wanted CROSS JOIN control_progress ON message = wanted.value;

-- name: note_progress
-- The same, now.
INSERT OR REPLACE INTO control_progress (message, shown, mark) VALUES (?, ?, ?);

-- name: forget_progress
-- That of messages that are forgotten.
DELETE FROM control_progress WHERE message NOT IN (SELECT id FROM control);
