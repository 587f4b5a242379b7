-- name: due_bounded
-- How many entities are due, counted up to a limit.
SELECT count(*) FROM (SELECT 1 FROM latest INDEXED BY latest_due WHERE due <= ? LIMIT ?);

-- name: due_few
-- Due entities of a worker's partitions, when there are few in all.
SELECT entity FROM latest INDEXED BY latest_due
WHERE due <= :until AND entity > :after AND (entity >> 40) % :worker_processes = :worker
ORDER BY entity LIMIT :limit;

-- name: due_in_range
-- Due entities of a range of keys, when there are many.
SELECT entity FROM latest NOT INDEXED
WHERE entity > :after AND entity < :end AND due <= :until
ORDER BY entity LIMIT :limit;

-- name: entities_in_range
-- Entities of some types (a JSON list) in a range of keys.
SELECT key, etype, eid FROM entity NOT INDEXED
WHERE key > :after AND key < :end AND etype IN (SELECT value FROM json_each(:etypes))
ORDER BY key LIMIT :limit;

-- name: entity
-- What there is to know of an entity.
SELECT key, etype, eid, created FROM entity WHERE key = ?;

-- name: created
-- When an entity was made.
SELECT key, created FROM entity WHERE key = ?;

-- name: plain
-- All plain values of an entity.
SELECT entity, attr, written, v FROM plain WHERE entity = ? ORDER BY attr;

-- name: history
-- The whole history of an entity, in any order: sorting would cost a fifth of the time.
SELECT key, entity, attr, t1, t2, c, v FROM fresh WHERE entity = ?;

-- name: ttl
-- The lifetimes of an entity.
SELECT entity, name, until FROM ttl WHERE entity = ?;

-- name: latest_row
-- The newest row of an entity.
SELECT snapshot.entity, snapshot.run, snapshot.doc
FROM latest JOIN snapshot ON snapshot.entity = latest.entity AND snapshot.run = latest.run
WHERE latest.entity = ?;

-- name: rows_of
-- All rows of an entity given by type name and eid; empty ones only say that there are none for a while.
SELECT snapshot.entity, snapshot.run, snapshot.doc
FROM etype JOIN entity ON entity.etype = etype.id CROSS JOIN snapshot ON snapshot.entity = entity.key
WHERE etype.name = ? AND entity.eid = ? AND snapshot.doc <> x''
ORDER BY snapshot.run;
