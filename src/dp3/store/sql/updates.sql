-- name: progress
-- Where a group of periodic hooks is, in all partitions.
SELECT partition, begun, tick, batch, batches, target, done, after, open, tries
FROM update_progress WHERE kind = ? AND etype = ? AND period = ?;

-- name: put_progress
-- Where it is now in some of them.
INSERT INTO update_progress
    (kind, etype, period, partition, begun, tick, batch, batches, target, done, after, open, tries)
VALUES {rows text, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint}
ON CONFLICT (kind, etype, period, partition) DO UPDATE SET
    begun = excluded.begun, tick = excluded.tick, batch = excluded.batch, batches = excluded.batches,
    target = excluded.target, done = excluded.done, after = excluded.after, open = excluded.open,
    tries = excluded.tries;

-- name: add_to_cycle
-- What a worker has done in a cycle.
INSERT INTO update_cycle
    (kind, etype, period, worker, begun, updated, batch, batches, visited, missed, finished)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, etype, period, worker, begun) DO UPDATE SET
    updated = excluded.updated,
    batch = excluded.batch,
    batches = excluded.batches,
    visited = update_cycle.visited + excluded.visited,
    missed = update_cycle.missed + excluded.missed,
    finished = excluded.finished;

-- name: cycles
-- The latest cycles of all groups and workers.
SELECT name, kind, etype, period, worker, begun, updated, batch, batches, visited, missed, finished
FROM update_cycle JOIN etype ON etype.id = update_cycle.etype
ORDER BY begun DESC, name, period, kind, worker LIMIT ?;

-- name: forget_cycles
-- All but the newest cycles of each group and worker.
DELETE FROM update_cycle
WHERE (kind, etype, period, worker, begun) IN (
    SELECT kind, etype, period, worker, begun
    FROM (
        SELECT *, row_number() OVER (PARTITION BY kind, etype, period, worker ORDER BY begun DESC) AS nth
        FROM update_cycle)
    WHERE nth > ?);
