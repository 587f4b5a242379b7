-- name: add_dead_letters
-- Keep what failed.
INSERT INTO dead_letter (time, kind, module, hook, partition, etype, eid, reason, traceback, task, context)
VALUES {rows bigint, text, text, text, bigint, text, text, text, text, bytea, text};

-- name: count_dropped
-- There was no room for more.
INSERT INTO counter (name, value) VALUES ('dead_letters_dropped', ?)
ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value;

-- name: dead_letters
-- A page of dead letters in the order of their numbers, or, if `sign` is -1, of that with the newest first; a
-- filter that is null lets everything pass.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter
WHERE id IN (
    SELECT id FROM dead_letter INDEXED BY dead_letter_subject
    WHERE id * :sign > :after
        AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
        AND (CAST(:module AS TEXT) IS NULL OR module = :module)
        AND (CAST(:hook AS TEXT) IS NULL OR hook = :hook)
        AND (CAST(:etype AS TEXT) IS NULL OR etype = :etype)
        AND (CAST(:eid AS TEXT) IS NULL OR eid = :eid)
        AND (CAST(:reason AS TEXT) IS NULL OR instr(reason, :reason) > 0)
    ORDER BY id * :sign LIMIT :limit
)
ORDER BY id * :sign;

-- name: next_dead_letters
-- A page of all dead letters in the order of their numbers.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter WHERE id > :after ORDER BY id LIMIT :limit;

-- name: previous_dead_letters
-- A page of all dead letters, the newest first.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter WHERE id < :after OR :after = 0 ORDER BY id DESC LIMIT :limit;

-- name: dead_letter_groups
-- Dead letters by hook and reason. Rare reasons that begin alike are together: each may name its entity.
WITH known AS (
    SELECT
        kind, module, hook, substr(reason, 1, 200) AS reason,
        COUNT(*) AS letters, MIN(time) AS first, MAX(time) AS last, MAX(id) AS newest
    FROM dead_letter
    WHERE
        (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
        AND (CAST(:module AS TEXT) IS NULL OR module = :module)
        AND (CAST(:hook AS TEXT) IS NULL OR hook = :hook)
        AND (CAST(:etype AS TEXT) IS NULL OR etype = :etype)
        AND (CAST(:eid AS TEXT) IS NULL OR eid = :eid)
        AND (CAST(:reason AS TEXT) IS NULL OR instr(reason, :reason) > 0)
    GROUP BY kind, module, hook, substr(reason, 1, 200)
), headed AS (
    SELECT *, iif(instr(reason, ': ') > 0, substr(reason, 1, instr(reason, ': ')), reason) AS head FROM known
), compared AS (
    SELECT *, 10 * letters >= SUM(letters) OVER (PARTITION BY kind, module, hook, head) AS frequent FROM headed
), grouped AS (
    SELECT
        kind, module, hook, COUNT(*) AS reasons, SUM(letters) AS letters,
        MIN(first) AS first, MAX(last) AS last, MAX(newest) AS newest
    FROM compared
    GROUP BY kind, module, hook, head, iif(frequent, reason, NULL)
    ORDER BY MAX(newest) DESC LIMIT :limit
)
SELECT
    g.kind, g.module, g.hook, letter.reason, g.reasons, g.letters, g.first, g.last, g.newest
FROM grouped AS g CROSS JOIN dead_letter AS letter
WHERE letter.id = g.newest
ORDER BY g.newest DESC;

-- name: count_dead_letters
-- How many dead letters pass the filters.
SELECT COUNT(*) FROM dead_letter INDEXED BY dead_letter_subject
WHERE
    (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
    AND (CAST(:module AS TEXT) IS NULL OR module = :module)
    AND (CAST(:hook AS TEXT) IS NULL OR hook = :hook)
    AND (CAST(:etype AS TEXT) IS NULL OR etype = :etype)
    AND (CAST(:eid AS TEXT) IS NULL OR eid = :eid)
    AND (CAST(:reason AS TEXT) IS NULL OR instr(reason, :reason) > 0);

-- name: dead_letter
-- One dead letter.
SELECT id, time, kind, module, hook, partition, etype, eid, reason, traceback, task, context
FROM dead_letter WHERE id = ?;

-- name: dead_letter_count
-- How many dead letters are kept.
SELECT value FROM number WHERE name = 'dead_letters';
