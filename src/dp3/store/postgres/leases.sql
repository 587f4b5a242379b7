-- name: lock
-- What is no batch of a worker happens one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 3));

-- name: own
-- Whether the lease with this epoch has not been taken over; nobody takes it over until the transaction ends,
-- which is the worker's.
SELECT set_config('dp3.worker', worker::text, TRUE) FROM lease WHERE epoch = ? FOR SHARE;

-- name: note_change
-- One more transaction of a worker, or, below 0, of what happens one after the other.
INSERT INTO change (worker, transactions) VALUES (?, 1)
ON CONFLICT (worker) DO UPDATE SET transactions = change.transactions + 1;

-- name: transactions
-- The number of transactions that can be seen.
SELECT coalesce(sum(transactions), 0)::bigint FROM change;
