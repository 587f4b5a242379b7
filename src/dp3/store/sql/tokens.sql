-- name: create
-- A new token.
INSERT INTO token (name, role, digest, created, expires) VALUES (?, ?, ?, ?, ?);

-- name: has_name
-- Whether a token that is not revoked has a name.
SELECT 1 FROM token WHERE name = ? AND revoked IS NULL;

-- name: revoke_expired
-- The token of a name whose time is over makes room for another.
UPDATE token SET revoked = ?1 WHERE name = ?2 AND revoked IS NULL AND expires <= ?1;

-- name: revoke
-- The token of a name does not count any more.
UPDATE token SET revoked = ? WHERE name = ? AND revoked IS NULL RETURNING id;

-- name: all
-- All that were ever made.
SELECT name, role, digest, created, expires, revoked FROM token ORDER BY id;

-- name: not_revoked
-- Those that may count.
SELECT name, role, digest, created, expires, revoked FROM token WHERE revoked IS NULL ORDER BY id;

-- name: ever_made
-- Whether there was ever one.
SELECT EXISTS (SELECT 1 FROM token);
