-- name: next_entities
-- Some deleted entities of a worker's partitions that may have rows left, as one text (key, type, eid of
-- each).
SELECT json_group_array(json_array(entity, etype, eid))
FROM (
    SELECT garbage.entity, garbage.etype, garbage.eid
    FROM position CROSS JOIN garbage
        ON garbage.entity BETWEEN position.partition << 40 AND ((position.partition + 1) << 40) - 1
    WHERE position.lane = 0 AND position.partition % :worker_processes = :worker
    LIMIT :limit);

-- name: remove_incoming
-- Some of what the history of entities says.
DELETE FROM incoming
WHERE key IN (
    SELECT fresh.key FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN fresh ON fresh.entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_history
-- Some history rows of entities. They are found in the same order, so what they say has been removed.
DELETE FROM fresh
WHERE (entity, attr, key) IN (
    SELECT fresh.entity, fresh.attr, fresh.key
    FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN fresh ON fresh.entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_packed
-- Some packed history of entities.
DELETE FROM packed
WHERE (entity, attr, tag, part) IN (
    SELECT entity, attr, tag, part FROM {each :entities bigint, bigint, text} AS gone
    CROSS JOIN packed ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_recent
-- The scans over it.
DELETE FROM recent
WHERE (entity, attr) IN (
    SELECT entity, attr FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN recent ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_former
-- Scans at earlier moments.
DELETE FROM former_scan
WHERE (entity, attr, at) IN (
    SELECT entity, attr, at FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN former_scan ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_plain
-- Some plain values of entities.
DELETE FROM plain
WHERE (entity, attr) IN (
    SELECT entity, attr FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN plain ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_ttl
-- Some lifetimes of entities.
DELETE FROM ttl
WHERE (entity, name) IN (
    SELECT entity, name FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN ttl ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_snapshots
-- Some snapshots of entities.
DELETE FROM snapshot
WHERE (entity, run) IN (
    SELECT entity, run FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN snapshot ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_missing
-- Some marks of runs without a snapshot of entities.
DELETE FROM missing
WHERE (entity, run) IN (
    SELECT entity, run FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN missing ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_last_seen
-- When entities were seen last.
DELETE FROM last_seen
WHERE entity IN (
    SELECT entity FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN last_seen ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_latest
-- Which snapshots of entities were the newest.
DELETE FROM latest
WHERE entity IN (
    SELECT entity FROM {each :entities bigint, bigint, text} AS gone CROSS JOIN latest ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_keys
-- Some keys of entities in the index, the eid excepted: a path that has as many entities as that of the
-- eids is on all of them, as questions take for granted.
DELETE FROM current
WHERE (path, key, entity) IN (
    SELECT current.path, current.key, entity FROM {each :entities bigint, bigint, text} AS gone
    CROSS JOIN current INDEXED BY current_of_entity ON entity = gone.value ->> 0
    WHERE current.path IS DISTINCT FROM (SELECT id FROM attr WHERE etype = gone.value ->> 1 AND name = 'eid')
    LIMIT :limit);

-- name: remove_eid_key
-- The last keys of entities.
DELETE FROM current
WHERE (path, key, entity) IN (
    SELECT current.path, current.key, entity FROM {each :entities bigint, bigint, text} AS gone
    CROSS JOIN current INDEXED BY current_of_entity ON entity = gone.value ->> 0
    LIMIT :limit);

-- name: remove_links
-- Some links of entities, but not those of later ones with the same eids.
DELETE FROM link
WHERE (attr, source, target) IN (
    SELECT link.attr, link.source, link.target FROM {each :entities bigint, bigint, text} AS gone
    CROSS JOIN node ON node.etype = gone.value ->> 1 AND node.eid = gone.value ->> 2
    CROSS JOIN attr ON attr.etype = node.etype
    CROSS JOIN link ON link.attr = attr.id AND link.source = node.id
    WHERE link.entity = gone.value ->> 0
    LIMIT :limit);

-- name: links_seen
-- Up to which time, and which number, runs have seen the changes of links in every partition; and whether a
-- run is open. A partition that no run has completed, or begun, needs none: the first one looks at
-- everything. The lanes are `SEEN_LANE` and `CHANGES_LANE`.
SELECT min(cut.offset) FILTER (WHERE cut.lane = 8), min(cut.offset) FILTER (WHERE cut.lane = 10),
    EXISTS (SELECT 1 FROM run WHERE phase <> 'closed')
FROM position JOIN cut ON cut.partition = position.partition
    AND cut.run = (SELECT max(run) FROM cut WHERE partition = position.partition)
WHERE position.lane = 0;

-- name: remove_changes
-- Some changes of links up to a number (null: all).
DELETE FROM link_change
WHERE (at, attr, target) IN (
    SELECT at, attr, target FROM link_change WHERE at <= coalesce(:change, at) LIMIT :limit);

-- name: remove_ended_links
-- Some links that ended before a moment. That a plain relation was emptied must stay known.
DELETE FROM link
WHERE (attr, source, target) IN (
    SELECT attr, source, target FROM link INDEXED BY link_by_until
    WHERE until < :seen AND until < 4611686018427387904 AND target <> 0 LIMIT :limit);

-- name: forget
-- Nothing is left of some entities.
DELETE FROM garbage WHERE entity IN (SELECT value ->> 0 FROM {each :entities bigint, bigint, text} LIMIT :limit);
