-- name: put_part
-- A piece of what a worker found; a worker that was started again finds something else.
INSERT OR REPLACE INTO graph_part (run, worker, part, data) VALUES (?, ?, ?, ?);

-- name: complete
-- All pieces are there. The first worker with that decides.
INSERT INTO graph (run, worker) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: parts
-- The pieces of the worker that was the first.
SELECT graph_part.data
FROM graph JOIN graph_part ON graph_part.run = graph.run AND graph_part.worker = graph.worker
WHERE graph.run = ? ORDER BY graph_part.part;

-- name: remove
-- Runs that are over need none.
DELETE FROM graph WHERE run <= ?;

-- name: remove_parts
-- The same for the pieces.
DELETE FROM graph_part WHERE run <= ?;
