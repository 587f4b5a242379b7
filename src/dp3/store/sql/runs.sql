-- name: open_run
-- The run that is not closed.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail
FROM run WHERE phase <> 'closed' ORDER BY id LIMIT 1;

-- name: run
-- One run.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail FROM run WHERE id = ?;

-- name: last_runs
-- Runs below a number, newest first.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail
FROM run WHERE id < ? ORDER BY id DESC LIMIT ?;

-- name: begun_newest_first
-- Runs that began in a range of times.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail
FROM run WHERE started BETWEEN ? AND ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: begun_oldest_first
-- The same, in the other order.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail
FROM run WHERE started BETWEEN ? AND ? ORDER BY id LIMIT ? OFFSET ?;

-- name: runs_between
-- Closed runs of a range of times.
SELECT id, time, phase, fingerprint, workers, started, updated, status, detail
FROM run WHERE time BETWEEN ? AND ? AND phase = 'closed' ORDER BY id;

-- name: advance_run
-- A run goes to another phase.
UPDATE run SET phase = :phase, status = :status, detail = :detail, updated = :now WHERE id = :id;

-- name: worker_runs
-- How far the workers are in a run.
SELECT run, worker, done, mark, entities, written, failed, updated
FROM worker_run WHERE run = ? ORDER BY worker;

-- name: put_worker_run
-- How far a worker is in a run.
INSERT INTO worker_run (run, worker, done, mark, entities, written, failed, updated)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run, worker) DO UPDATE SET
    done = excluded.done, mark = excluded.mark, entities = excluded.entities, written = excluded.written,
    failed = excluded.failed, updated = excluded.updated;

-- name: put_watermarks
-- Partitions are completed in a run, if that still waits for them.
INSERT INTO cut (partition, run, lane, offset)
SELECT column1, column2, column3, column4 FROM (VALUES {rows bigint, bigint, bigint, bigint})
WHERE EXISTS (SELECT 1 FROM run WHERE id = column2 AND phase IN ('init', 'work'))
ON CONFLICT (partition, run, lane) DO UPDATE SET
    offset = excluded.offset;

-- name: remove_watermarks
-- No partition is completed in a run.
DELETE FROM cut WHERE run = ?;

-- name: watermarks
-- Where the log was in the last run that completed each partition.
SELECT cut.partition, cut.lane, cut.offset
FROM position JOIN cut ON cut.partition = position.partition
    AND cut.run = (SELECT max(run) FROM cut WHERE partition = position.partition)
WHERE position.lane = 0;

-- name: covered
-- Those of some runs (a JSON list) that completed the partition of an entity and have a snapshot of it.
SELECT wanted.value FROM {each :runs bigint} AS wanted
WHERE EXISTS (SELECT 1 FROM cut WHERE partition = :entity >> 40 AND run = wanted.value)
    AND NOT EXISTS (SELECT 1 FROM missing WHERE entity = :entity AND run = wanted.value)
    AND coalesce((
        SELECT length(doc) FROM snapshot WHERE entity = :entity AND run <= wanted.value ORDER BY run DESC LIMIT 1), 1) > 0;

-- name: graph_put_part
-- A piece of what a worker found; a worker that was started again finds something else.
INSERT INTO graph_part (run, worker, part, data) VALUES (?, ?, ?, ?)
ON CONFLICT (run, worker, part) DO UPDATE SET
    data = excluded.data;

-- name: graph_complete
-- All pieces are there. The first worker with that decides.
INSERT INTO graph (run, worker) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: graph_parts
-- The pieces of the worker that was the first.
SELECT graph_part.data
FROM graph JOIN graph_part ON graph_part.run = graph.run AND graph_part.worker = graph.worker
WHERE graph.run = ? ORDER BY graph_part.part;

-- name: graph_remove
-- Runs that are over need none.
DELETE FROM graph WHERE run <= ?;

-- name: graph_remove_parts
-- The same for the pieces.
DELETE FROM graph_part WHERE run <= ?;
