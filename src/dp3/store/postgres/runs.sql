-- name: begin_run
-- Open a run, unless one is open or the last one was of this or a later time: another worker has opened it.
-- One that lies in the future does not count: the clock was wrong then. Numbers grow with time (in steps of
-- 16 ms), also when the state was replaced by an older copy: the log takes tasks of hooks only under numbers
-- that it has not seen yet.
WITH given AS (
    INSERT INTO last_id (name, id)
    SELECT 'run', :now >> 14
    WHERE NOT EXISTS (SELECT 1 FROM run WHERE phase <> 'closed')
        AND NOT EXISTS (
            SELECT 1 FROM run
            WHERE id = (SELECT max(id) FROM run) AND time >= :time AND time <= :now + 60000000)
    ON CONFLICT (name) DO UPDATE SET id = greatest(last_id.id + 1, excluded.id) RETURNING id)
INSERT INTO run (id, time, phase, fingerprint, workers, started, updated, status, detail)
SELECT id, :time, :phase, :fingerprint, :workers, :now, :now, '', '{}' FROM given
RETURNING id, time, phase, fingerprint, workers, started, updated, status, detail;
