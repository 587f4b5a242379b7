-- What is removed of an attribute or of an entity type. All statements whose names begin alike are run, so a
-- new table needs one statement here: `purge_values_…` for values of attributes (`:attrs`, a JSON list) of some
-- entities (`:entities`), `purge_attr_…` for what is not kept by entity, `purge_type_…` for what is kept by type
-- (`:etype`). Each removes at most `:limit` rows. What is kept by entity goes as garbage does (garbage.sql).

-- name: purge_values_plain
-- Plain values.
DELETE FROM plain WHERE (entity, attr) IN (
    SELECT plain.entity, plain.attr
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN plain ON plain.entity = wanted.value AND plain.attr = lost.value
    WHERE CAST(:whole AS BOOLEAN) OR hex(plain.v) IN (SELECT value FROM {each :values text})
    LIMIT :limit);

-- name: purge_values_incoming
-- What history says, as it came in.
DELETE FROM incoming WHERE key IN (
    SELECT incoming.key
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN fresh ON fresh.entity = wanted.value AND fresh.attr = lost.value
    CROSS JOIN incoming ON incoming.key = fresh.key
    WHERE CAST(:whole AS BOOLEAN) OR hex(incoming.v) IN (SELECT value FROM {each :values text})
    LIMIT :limit);

-- name: purge_values_fresh
-- Whose that was; after it.
DELETE FROM fresh WHERE (entity, attr, key) IN (
    SELECT fresh.entity, fresh.attr, fresh.key
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN fresh ON fresh.entity = wanted.value AND fresh.attr = lost.value
    WHERE NOT EXISTS (SELECT 1 FROM incoming WHERE key = fresh.key)
    LIMIT :limit);

-- name: purge_values_packed
-- Packed history.
DELETE FROM packed WHERE (entity, attr, tag, part) IN (
    SELECT packed.entity, packed.attr, packed.tag, packed.part
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN packed ON packed.entity = wanted.value AND packed.attr = lost.value
    WHERE CAST(:whole AS BOOLEAN) OR hex(packed.v) IN (SELECT value FROM {each :values text})
    LIMIT :limit);

-- name: purge_values_recent
-- Scans that have seen what is removed: of all values with it, of some they have to be made anew.
UPDATE recent SET scan = NULL, told_at = NULL, told = NULL, at = 0 WHERE (entity, attr) IN (
    SELECT recent.entity, recent.attr
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN recent ON recent.entity = wanted.value AND recent.attr = lost.value
    WHERE scan IS NOT NULL LIMIT :limit);

-- name: purge_values_recent_of_nothing
-- Those of attributes of which nothing stays.
DELETE FROM recent WHERE CAST(:whole AS BOOLEAN) AND (entity, attr) IN (
    SELECT recent.entity, recent.attr
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN recent ON recent.entity = wanted.value AND recent.attr = lost.value LIMIT :limit);

-- name: purge_values_former
-- Scans at earlier moments.
DELETE FROM former_scan WHERE (entity, attr, at) IN (
    SELECT former_scan.entity, former_scan.attr, at
    FROM {each :entities bigint} AS wanted CROSS JOIN {each :attrs bigint} AS lost
    CROSS JOIN former_scan ON former_scan.entity = wanted.value AND former_scan.attr = lost.value LIMIT :limit);

-- name: purge_attr_link
-- Links.
DELETE FROM link WHERE (attr, source, target) IN (
    SELECT link.attr, link.source, link.target
    FROM {each :attrs bigint} AS lost CROSS JOIN link ON link.attr = lost.value LIMIT :limit);

-- name: purge_attr_link_change
-- That links were made and ended.
DELETE FROM link_change WHERE (at, attr, target) IN (
    SELECT at, attr, target FROM link_change
    WHERE attr IN (SELECT value FROM {each :attrs bigint}) LIMIT :limit);

-- name: purge_type_node
-- Ends of links.
DELETE FROM node WHERE id IN (SELECT id FROM node WHERE etype = :etype LIMIT :limit);

-- name: purge_type_tombstone
-- Deleted entities to which others may have links.
DELETE FROM tombstone WHERE id IN (SELECT id FROM tombstone WHERE etype = :etype LIMIT :limit);

-- name: purge_type_update_progress
-- Where periodic hooks are.
DELETE FROM update_progress WHERE (kind, etype, period, partition) IN (
    SELECT kind, etype, period, partition FROM update_progress WHERE etype = :etype LIMIT :limit);

-- name: purge_type_update_cycle
-- What came of the cycles of periodic hooks.
DELETE FROM update_cycle WHERE (kind, etype, period, worker, begun) IN (
    SELECT kind, etype, period, worker, begun FROM update_cycle WHERE etype = :etype LIMIT :limit);

-- name: etype_id
-- The number of an entity type, if it has one.
SELECT id FROM etype WHERE name = ?;

-- name: attr_ids
-- The numbers of attributes (a JSON list of names).
SELECT id FROM attr WHERE etype = :etype AND name IN (SELECT value FROM {each :attrs text});

-- name: path_ids
-- The numbers of the paths in the index at and below attributes (a JSON list of names; null: all of the type).
SELECT attr.id FROM attr
WHERE attr.etype = :etype AND (
    CAST(:whole AS BOOLEAN)
    OR EXISTS (
        SELECT 1 FROM {each :attrs text} AS lost
        WHERE attr.name = lost.value
            OR substr(attr.name, 1, length(lost.value) + 1) IN (lost.value || '.', lost.value || '#')));

-- name: remove_entities
-- Some entities of a type; a trigger notes their rows for removal.
DELETE FROM entity WHERE key IN (SELECT key FROM entity WHERE etype = :etype LIMIT :limit);

-- name: next_entities
-- The entities of a type from an id as text on, in that order; an id may be empty.
SELECT key, eid FROM entity WHERE etype = ? AND eid >= ? ORDER BY eid LIMIT ?;

-- name: next_snapshots
-- The next snapshots of an entity.
SELECT run, doc FROM snapshot WHERE entity = ? AND run > ? AND doc <> x'' ORDER BY run LIMIT ?;

-- name: put_snapshot
-- A snapshot without what is removed.
UPDATE snapshot SET doc = ? WHERE entity = ? AND run = ?;

-- name: remove_keys
-- Some keys at paths (a JSON list) of the index.
DELETE FROM current WHERE (path, key, entity) IN (
    SELECT current.path, current.key, current.entity
    FROM {each :paths bigint} AS lost CROSS JOIN current NOT INDEXED ON current.path = lost.value LIMIT :limit);

-- name: next_dead_letters
-- The next dead letters.
SELECT id, etype, task FROM dead_letter WHERE id > ? ORDER BY id LIMIT ?;

-- name: put_dead_letter
-- A dead letter without what is removed.
UPDATE dead_letter SET task = ? WHERE id = ?;

-- name: remove_dead_letter
-- A dead letter of which nothing is left.
DELETE FROM dead_letter WHERE id = ?;

-- name: next_nodes
-- The last of the next ends of links.
SELECT max(id) FROM (SELECT id FROM node WHERE id > ? ORDER BY id LIMIT ?);

-- name: remove_lonely_nodes
-- Those of a range that no link leads to or from. Links are found by their relation; there are few, each one is
-- sought from the one before.
WITH RECURSIVE relation (attr) AS (
    SELECT min(attr) FROM link
    UNION ALL
    SELECT (SELECT min(link.attr) FROM link WHERE link.attr > relation.attr) FROM relation
    WHERE relation.attr IS NOT NULL
)
DELETE FROM node
WHERE id > :after AND id <= :last
    AND NOT EXISTS (SELECT 1 FROM link INDEXED BY link_by_target WHERE link.target = node.id)
    AND NOT EXISTS (
        SELECT 1 FROM relation CROSS JOIN link ON link.attr = relation.attr AND link.source = node.id);

-- name: forget_paths
-- Paths (a JSON list) have no keys any more.
DELETE FROM path WHERE id IN (SELECT value FROM {each ? bigint});

-- name: forget_names
-- Attributes and paths (a JSON list) have no number any more.
DELETE FROM attr WHERE id IN (SELECT value FROM {each ? bigint});

-- name: forget_etype
-- An entity type has no number any more.
DELETE FROM etype WHERE id = ?;
