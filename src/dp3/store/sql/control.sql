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
FROM {each ? bigint} AS wanted CROSS JOIN control ON control.id = wanted.value WHERE control.result IS NOT NULL;

-- name: progress
-- How far those of some messages (a JSON list) are that take long.
SELECT message, shown, mark FROM {each ? bigint} AS wanted CROSS JOIN control_progress ON message = wanted.value;

-- name: note_progress
-- The same, now.
INSERT INTO control_progress (message, shown, mark) VALUES (?, ?, ?)
ON CONFLICT (message) DO UPDATE SET
    shown = excluded.shown, mark = excluded.mark;

-- name: forget_progress
-- That of messages that are forgotten.
DELETE FROM control_progress WHERE message NOT IN (SELECT id FROM control);
