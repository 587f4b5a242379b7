-- name: lock
-- What is no batch of a worker happens one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 3));

-- name: is_held
-- Whether the lease with this epoch has not been taken over; nobody takes it over until the transaction ends.
SELECT 1 FROM lease WHERE epoch = ? FOR SHARE;

-- name: visible
-- What transactions can be seen.
SELECT pg_current_snapshot()::text;
