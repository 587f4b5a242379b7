-- name: raise_horizon
-- The oldest run that is kept: the first one of a moment or later, but none after the newest complete one.
-- Those that lie in the future do not count: the clock was wrong then.
INSERT INTO number (name, value)
SELECT 'snapshot_horizon', min(coalesce((SELECT min(id) FROM run WHERE time BETWEEN :before AND :now), complete), complete)
FROM (SELECT id AS complete FROM run WHERE status = 'complete' ORDER BY id DESC LIMIT 1)
WHERE true
ON CONFLICT (name) DO UPDATE SET value = max(number.value, excluded.value);

-- name: horizon
-- The oldest run that is kept; none if all are.
SELECT value FROM number WHERE name = 'snapshot_horizon';

-- name: horizon_time
-- Its time.
SELECT time FROM run WHERE id = (SELECT value FROM number WHERE name = 'snapshot_horizon');

-- name: last_old_run
-- The last one of some runs before a run, oldest first; null if there are none.
SELECT max(id) FROM (SELECT id FROM run WHERE id < :horizon ORDER BY id LIMIT :limit);

-- name: remove_worker_runs
-- How far workers were in runs up to one.
DELETE FROM worker_run WHERE run <= ?;

-- name: remove_runs
-- Runs up to one.
DELETE FROM run WHERE id <= ?;

-- name: old_watermark
-- A partition of a worker that was completed in a run before one.
SELECT partition FROM position
WHERE lane = 0 AND partition % :worker_processes = :worker
    AND EXISTS (SELECT 1 FROM cut WHERE cut.partition = position.partition AND cut.run < :horizon)
LIMIT 1;

-- name: remove_watermark
-- That a partition was completed in some runs before one.
DELETE FROM cut
WHERE partition = :partition AND (run, lane) IN (
    SELECT run, lane FROM cut WHERE partition = :partition AND run < :horizon LIMIT :limit);

-- name: old_missing
-- A partition of a worker with entities that are missing in a run before one.
SELECT partition FROM position
WHERE lane = 0 AND partition % :worker_processes = :worker
    AND EXISTS (SELECT 1 FROM missing WHERE entity >> 40 = partition AND run < :horizon)
LIMIT 1;

-- name: remove_missing
-- That some entities of a partition are missing in runs before one.
DELETE FROM missing
WHERE (entity, run) IN (
    SELECT entity, run FROM missing WHERE entity >> 40 = :partition AND run < :horizon LIMIT :limit);

-- name: old_rows
-- A partition of a worker that has rows which were superseded up to a run.
SELECT partition FROM position
WHERE lane = 0 AND partition % :worker_processes = :worker
    AND EXISTS (SELECT 1 FROM superseded WHERE superseded.partition = position.partition AND run <= :horizon)
LIMIT 1;

-- name: superseded
-- When entities of a partition got new rows, up to a run; as one text.
SELECT json_group_array(json_array(run, entity))
FROM (
    SELECT run, entity FROM superseded
    WHERE partition = :partition AND run <= :horizon ORDER BY run, entity LIMIT :limit);

-- name: remove_rows
-- Older rows of entities (a JSON list of run and entity). An empty row says nothing if none is before it.
DELETE FROM snapshot
WHERE (entity, run) IN (
    SELECT snapshot.entity, snapshot.run
    FROM {each ? bigint, bigint} AS later CROSS JOIN snapshot
        ON snapshot.entity = later.value ->> 1 AND snapshot.run <= later.value ->> 0
    WHERE snapshot.run < later.value ->> 0 OR snapshot.doc = x'');

-- name: remove_superseded
-- What was done.
DELETE FROM superseded WHERE partition = ? AND (run, entity) <= (?, ?);
