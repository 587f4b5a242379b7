-- name: next_entity
-- A deleted entity of a worker's partitions that may have rows left.
SELECT garbage.entity, garbage.etype, garbage.eid
FROM position CROSS JOIN garbage
    ON garbage.entity BETWEEN position.partition << 40 AND ((position.partition + 1) << 40) - 1
WHERE position.lane = 0 AND position.partition % :worker_processes = :worker
LIMIT 1;

-- name: remove_incoming
-- Some of what the history of an entity says.
DELETE FROM incoming WHERE key IN (SELECT key FROM fresh WHERE entity = :entity LIMIT :limit);

-- name: remove_history
-- Some history rows of an entity.
DELETE FROM fresh
WHERE entity = :entity AND (attr, key) IN (SELECT attr, key FROM fresh WHERE entity = :entity LIMIT :limit);

-- name: remove_packed
-- Some packed history of an entity.
DELETE FROM packed
WHERE entity = :entity AND (attr, tag, part) IN (
    SELECT attr, tag, part FROM packed WHERE entity = :entity LIMIT :limit);

-- name: remove_plain
-- Some plain values of an entity.
DELETE FROM plain
WHERE entity = :entity AND attr IN (SELECT attr FROM plain WHERE entity = :entity LIMIT :limit);

-- name: remove_ttl
-- Some lifetimes of an entity.
DELETE FROM ttl
WHERE entity = :entity AND name IN (SELECT name FROM ttl WHERE entity = :entity LIMIT :limit);

-- name: remove_snapshots
-- Some snapshots of an entity.
DELETE FROM snapshot
WHERE entity = :entity AND run IN (SELECT run FROM snapshot WHERE entity = :entity LIMIT :limit);

-- name: remove_missing
-- Some marks of runs without a snapshot of an entity.
DELETE FROM missing
WHERE entity = :entity AND run IN (SELECT run FROM missing WHERE entity = :entity LIMIT :limit);

-- name: remove_last_seen
-- When an entity was seen last.
DELETE FROM last_seen WHERE entity = :entity AND :limit > 0;

-- name: remove_latest
-- Which snapshot of an entity was the newest.
DELETE FROM latest WHERE entity = :entity AND :limit > 0;

-- name: remove_keys
-- Some keys of an entity in the index, the eid excepted: a path that has as many entities as that of the
-- eids is on all of them, as questions take for granted.
DELETE FROM current
WHERE entity = :entity AND (path, key) IN (
    SELECT path, key FROM current
    WHERE entity = :entity AND path IS NOT (SELECT id FROM attr WHERE etype = :etype AND name = 'eid')
    LIMIT :limit);

-- name: remove_eid_key
-- The last key of an entity.
DELETE FROM current WHERE entity = :entity AND :limit > 0;

-- name: remove_links
-- Some links of an entity, but not those of a later one with the same eid.
DELETE FROM link
WHERE source = (SELECT id FROM node WHERE etype = :etype AND eid = :eid) AND (attr, source, target) IN (
    SELECT link.attr, link.source, link.target
    FROM node CROSS JOIN attr ON attr.etype = node.etype
    CROSS JOIN link ON link.attr = attr.id AND link.source = node.id
    WHERE node.etype = :etype AND node.eid = :eid AND link.entity = :entity
    LIMIT :limit);

-- name: links_seen
-- Up to when runs have seen the changes of links: the last complete one, or else nothing that ends before
-- the first, which looks at everything.
SELECT coalesce(
    (SELECT max(time) FROM run WHERE status = 'complete'),
    (SELECT min(time) FROM run),
    :now);

-- name: remove_changes
-- Some changes of links before a moment.
DELETE FROM link_change
WHERE (at, attr, target) IN (SELECT at, attr, target FROM link_change WHERE at < :seen LIMIT :limit);

-- name: remove_ended_links
-- Some links that ended before a moment. That a plain relation was emptied must stay known.
DELETE FROM link
WHERE (attr, source, target) IN (
    SELECT attr, source, target FROM link INDEXED BY link_by_until
    WHERE until < :seen AND until < 4611686018427387904 AND target <> 0 LIMIT :limit);

-- name: forget
-- Nothing is left of the entity.
DELETE FROM garbage WHERE entity = ?;
