-- name: leases
-- All leases, also of workers that died.
SELECT epoch, worker, worker_processes, host, pid, process_started, heartbeat, status
FROM lease ORDER BY worker;

-- name: take
-- A new lease with an epoch above all earlier ones.
INSERT INTO lease (worker, worker_processes, host, pid, process_started, heartbeat, status)
VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING epoch;

-- name: last_processes
-- The number of workers when a lease was last taken.
SELECT value FROM number WHERE name = 'worker_processes';

-- name: note_processes
-- Remember it.
INSERT INTO number VALUES ('worker_processes', ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: fold_changes
-- Nothing: SQLite counts transactions by itself.
SELECT 0;

-- name: disconnect
-- Nothing: a holder of whom nothing is heard has nothing on a server.
SELECT 0 WHERE ? < 0;

-- name: remove
-- The lease with this epoch, if it is still there.
DELETE FROM lease WHERE epoch = ?;

-- name: heartbeat
-- A sign of life of the holder.
UPDATE lease SET heartbeat = :now, status = :status WHERE epoch = :epoch;

-- name: forget_reports
-- What workers said whose leases are gone.
DELETE FROM worker_report WHERE epoch NOT IN (SELECT epoch FROM lease);

-- name: put_report
-- What the holder says of itself.
INSERT INTO worker_report (epoch, time, numbers) VALUES (?, ?, ?)
ON CONFLICT (epoch) DO UPDATE SET
    time = excluded.time, numbers = excluded.numbers;

-- name: take_job
-- A job for the holder of a lease; nothing happens while another living holder has it. One that has it for
-- longer than anybody takes it took it when the clock was wrong.
INSERT INTO job (name, epoch, until) VALUES (:name, :epoch, :until)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, until = excluded.until
    WHERE job.epoch = excluded.epoch OR job.until NOT BETWEEN :now + 1 AND :until + 60000000
        OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.epoch = job.epoch)
RETURNING epoch;

-- name: is_held
-- Whether the lease with this epoch has not been taken over.
SELECT 1 FROM lease WHERE epoch = ?;

-- name: reports
-- What the workers say of themselves.
SELECT lease.worker, worker_report.time, worker_report.numbers
FROM lease JOIN worker_report USING (epoch) ORDER BY lease.worker;
