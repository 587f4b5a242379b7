-- name: begin_run
-- Open a run, unless one is open or the last one was of this or a later time: another worker has opened it.
-- One that lies in the future does not count: the clock was wrong then. Numbers grow with time (in steps of
-- 16 ms), also when the state was replaced by an older copy: the log takes tasks of hooks only under numbers
-- that it has not seen yet.
INSERT INTO run (id, time, phase, fingerprint, workers, started, updated, status, detail)
SELECT
    max(:now >> 14, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0)),
    :time, :phase, :fingerprint, :workers, :now, :now, '', '{}'
WHERE NOT EXISTS (SELECT 1 FROM run WHERE phase <> 'closed')
    AND NOT EXISTS (
        SELECT 1 FROM run WHERE id = (SELECT max(id) FROM run) AND time >= :time AND time <= :now + 60000000)
RETURNING id, time, phase, fingerprint, workers, started, updated, status, detail;
