-- name: last_collection
-- The latest collection of a worker.
SELECT worker, begun, workers, updated, phase, after, looked, expired, unreferenced, tokens
FROM collection WHERE worker = ? ORDER BY begun DESC LIMIT 1;

-- name: collections
-- The latest collections of all workers.
SELECT worker, begun, workers, updated, phase, after, looked, expired, unreferenced, tokens
FROM collection ORDER BY begun DESC, worker LIMIT ?;

-- name: put_collection
-- What a worker has done in a collection.
INSERT INTO collection
    (worker, begun, workers, updated, phase, after, looked, expired, unreferenced, tokens)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (worker, begun) DO UPDATE SET
    workers = excluded.workers, updated = excluded.updated, phase = excluded.phase,
    after = excluded.after, looked = excluded.looked, expired = excluded.expired,
    unreferenced = excluded.unreferenced, tokens = excluded.tokens;

-- name: forget_collections
-- All but the newest records of a worker.
DELETE FROM collection
WHERE worker = ?1 AND begun IN (
    SELECT begun FROM collection WHERE worker = ?1 ORDER BY begun DESC LIMIT 10 OFFSET ?2);

-- name: due_tokens
-- Entities of a partition whose tokens are to be checked, with these, as one text.
SELECT json_group_array(json_array(entity.key, entity.etype, entity.eid, json(
    (SELECT json_group_array(json_array(name, until)) FROM ttl WHERE ttl.entity = entity.key))))
FROM (
    SELECT entity AS key FROM lifetime INDEXED BY lifetime_by_look
    WHERE entity >> 40 = ?1 AND look < ?2 ORDER BY look LIMIT ?3) AS due
CROSS JOIN entity USING (key);

-- name: page_of_entities
-- The end of the next entities, and how many there are.
SELECT coalesce(max(key), 0), count(*)
FROM (SELECT key FROM entity NOT INDEXED WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3);

-- name: weak_entities
-- Entities of some types (a JSON list) that nothing refers to, as one text.
SELECT json_group_array(json_array(
    key, etype, eid, coalesce(known.since, 0), coalesce(known.main, 0), coalesce(known.derived, 0)))
FROM entity AS weak NOT INDEXED LEFT JOIN unreferenced AS known ON known.entity = weak.key
WHERE weak.key > :after AND weak.key <= :last AND weak.etype IN (SELECT value FROM {each :etypes bigint})
    AND NOT EXISTS (
        SELECT 1 FROM node CROSS JOIN link INDEXED BY link_by_target ON link.target = node.id
        CROSS JOIN entity AS source ON source.key = link.entity
        WHERE node.etype = weak.etype AND node.eid = weak.eid AND link.until > :moment);

-- name: remove_tokens
-- Tokens (entity, name) that are over.
DELETE FROM ttl WHERE (entity, name) IN (VALUES {rows bigint, text});

-- name: set_expiry_checks
-- When to check the tokens of entities again.
UPDATE lifetime SET look = checks.column2 FROM (VALUES {rows bigint, bigint}) AS checks WHERE entity = checks.column1;

-- name: forget_unreferenced
-- Entities of a range are referred to, all but some (a JSON list).
DELETE FROM unreferenced
WHERE entity > ?1 AND entity <= ?2 AND entity NOT IN (SELECT value FROM {each ?3 bigint});

-- name: note_unreferenced
-- Nothing refers to entities; the first time in a row counts.
INSERT INTO unreferenced (entity, since, main, derived) VALUES {rows bigint, bigint, bigint, bigint} ON CONFLICT DO NOTHING;

-- name: expired
-- Those of some entities whose tokens are all over at a moment, as one text.
SELECT json_group_array(entity.key)
FROM {each ? bigint, bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value ->> 0
WHERE entity.created <= wanted.value ->> 1
    AND EXISTS (SELECT 1 FROM ttl WHERE ttl.entity = entity.key)
    AND NOT EXISTS (SELECT 1 FROM ttl WHERE ttl.entity = entity.key AND until >= wanted.value ->> 1);

-- name: created_until
-- Those of some entities that were created until a moment, as one text.
SELECT json_group_array(entity.key)
FROM {each ? bigint, bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value ->> 0
WHERE entity.created <= wanted.value ->> 1;

-- name: plain_values
-- The values of plain attributes (a JSON list: entity, attribute).
SELECT entity, attr, entry_order, written, v
FROM {each ? bigint, bigint} AS wanted
CROSS JOIN plain ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1;

-- name: history_page
-- Some of the history of attributes (a JSON list: entity, attribute, key after which to begin), one after the
-- other, each in the order of the log. Rows come in the order of the loops: sorting would read all of them.
SELECT fresh.key, entity, attr, t1, t2, c, v
FROM {each ? bigint, bigint, bigint} AS wanted
CROSS JOIN fresh
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1 AND fresh.key > wanted.value ->> 2
CROSS JOIN incoming ON incoming.key = fresh.key
LIMIT ?;

-- name: packed_page
-- Some of the packed history of attributes (a JSON list: entity, attribute, tag and part after which to
-- begin), in the same way.
SELECT entity, attr, tag, part, oldest, points, v, segments
FROM {each ? bigint, bigint, bigint, bigint} AS wanted
CROSS JOIN packed
    ON entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
    AND (tag, part) > (wanted.value ->> 2, wanted.value ->> 3)
LIMIT ?;

-- name: begun_in
-- Up to which keys packing of partitions (a JSON list) has begun.
SELECT partition, begun FROM packed_until WHERE partition IN (SELECT value FROM {each ? bigint});

-- name: oldest_bounds
-- The smallest offsets up to which tombstones hold, null if there are none.
SELECT min(main), min(derived) FROM tombstone;

-- name: pending_tombstones
-- Tombstones of a worker's partitions that are to be swept, and whether anybody ever had links to them.
SELECT tombstone.id, etype.name, etype, eid, partition, entry_order, at, main, derived, attr, source, EXISTS (
    SELECT 1 FROM node CROSS JOIN link INDEXED BY link_by_target ON link.target = node.id
    WHERE node.etype = tombstone.etype AND node.eid = tombstone.eid)
FROM tombstone INDEXED BY tombstone_by_phase CROSS JOIN etype ON etype.id = tombstone.etype
WHERE phase = 0 AND partition % :worker_processes = :worker ORDER BY tombstone.id LIMIT :limit;

-- name: referrers
-- Who has links to deleted entities that held then (a JSON list: id of the tombstone, type, eid, attribute and
-- source after which to begin in the index, time of the deletion). Rows come in the order of the loops.
SELECT wanted.value ->> 0, link.attr, link.source, etype.name, entity.eid, attr.name
FROM {each ? bigint, bigint, text, bigint, bigint, bigint} AS wanted
CROSS JOIN node ON node.etype = wanted.value ->> 1 AND node.eid = wanted.value ->> 2
CROSS JOIN link INDEXED BY link_by_target
    ON link.target = node.id AND (link.attr, link.source) > (wanted.value ->> 3, wanted.value ->> 4)
CROSS JOIN entity ON entity.key = link.entity
CROSS JOIN etype ON etype.id = entity.etype
CROSS JOIN attr ON attr.id = link.attr
WHERE link.until > wanted.value ->> 5
LIMIT ?;

-- name: move_tombstones
-- Up to where those who have links were told (id, attr, source).
UPDATE tombstone SET attr = moved.column2, source = moved.column3
FROM (VALUES {rows bigint, bigint, bigint}) AS moved WHERE id = moved.column1;

-- name: all_told
-- All who have links to some (a JSON list of ids) were told.
UPDATE tombstone SET phase = 1 WHERE id IN (SELECT value FROM {each ? bigint});

-- name: remove_tombstones
-- Nobody has links to some (a JSON list of ids).
DELETE FROM tombstone WHERE id IN (SELECT value FROM {each ? bigint});

-- name: forget_tombstones
-- Some tombstones of a worker's partitions that nobody needs any more.
DELETE FROM tombstone
WHERE id IN (
    SELECT id FROM tombstone INDEXED BY tombstone_by_phase
    WHERE phase = 2 AND told <= :derived AND partition % :worker_processes = :worker LIMIT :limit);
