-- name: lock
-- What is no batch of a worker happens one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 3));

-- name: own
-- Whether the lease with this epoch has not been taken over; nobody takes it over until the transaction ends,
-- which is the worker's.
SELECT set_config('dp3.worker', worker::text, TRUE) FROM lease WHERE epoch = ? FOR KEY SHARE;

-- name: is_held
-- Whether the lease with this epoch has not been taken over; nobody takes it over until the transaction ends.
-- Heartbeats do not wait for that.
SELECT 1 FROM lease WHERE epoch = ? FOR KEY SHARE;

-- name: let_go
-- Returns when no transaction of the worker that began before is under way any more.
SELECT 1 FROM lease WHERE epoch = ? FOR UPDATE;

-- name: disconnect
-- End all that the process of a holder, which is not this one, has on the server: it may stand still inside a
-- transaction.
SELECT count(pg_terminate_backend(pg_stat_activity.pid))
FROM lease JOIN pg_stat_activity ON application_name = client
WHERE epoch = ? AND client <> current_setting('application_name');

-- name: count
-- So many more transactions that have changed something, of those that a writer has made; returns all of
-- them. Waits for the end of one that is under way.
INSERT INTO change (writer, transactions) VALUES (?, ?)
ON CONFLICT (writer) DO UPDATE SET transactions = change.transactions + excluded.transactions, at = now()
RETURNING transactions;

-- name: fold_changes
-- Nobody asks any more for the transactions of writers that have been silent for a day; they count as of one.
-- Done when a worker starts.
WITH silent AS (
    DELETE FROM change WHERE writer >= 0 AND at < now() - interval '1 day' RETURNING transactions)
INSERT INTO change (writer, transactions) SELECT -1, sum(transactions) FROM silent HAVING count(*) > 0
ON CONFLICT (writer) DO UPDATE SET transactions = change.transactions + excluded.transactions;

-- name: now
-- The server's time, in microseconds since 1970.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: transactions
-- The number of transactions that can be seen.
SELECT coalesce(sum(transactions), 0)::bigint FROM change;
