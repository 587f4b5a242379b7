-- name: add_dead_letter
-- Keep what failed.
INSERT INTO dead_letter (time, kind, module, hook, partition, etype, eid, reason, traceback, task, context)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: count_dropped
-- There was no room for more.
INSERT INTO counter (name, value) VALUES ('dead_letters_dropped', ?)
ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;

-- name: dead_letters
-- A page of dead letters in the order of their numbers; a filter that is null lets everything pass.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter
WHERE id IN (
    SELECT id FROM dead_letter INDEXED BY dead_letter_subject
    WHERE id > :after
        AND (:kind IS NULL OR kind = :kind)
        AND (:module IS NULL OR module = :module)
        AND (:hook IS NULL OR hook = :hook)
        AND (:etype IS NULL OR etype = :etype)
        AND (:eid IS NULL OR eid = :eid)
    ORDER BY id LIMIT :limit
)
ORDER BY id;

-- name: next_dead_letters
-- A page of all dead letters in the order of their numbers.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter WHERE id > :after ORDER BY id LIMIT :limit;

-- name: dead_letter
-- One dead letter.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter WHERE id = ?;

-- name: dead_letter_count
-- How many dead letters are kept.
SELECT value FROM number WHERE name = 'dead_letters';
