-- What there is for every link of a batch takes one step for hundreds of them.

-- name: sources
-- The types and eids of those of some entities (a JSON list of keys) that exist, and their nodes if there are.
SELECT entity.key, entity.etype, entity.eid, node.id
FROM {each ? bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value
LEFT JOIN node ON node.etype = entity.etype AND node.eid = entity.eid;

-- name: find_nodes
-- The numbers of those of some nodes (type, eid) that are known.
SELECT node.etype, node.eid, node.id
FROM (VALUES {rows bigint, text}) AS wanted CROSS JOIN node ON node.etype = wanted.column1 AND node.eid = wanted.column2;

-- name: add_nodes
-- New nodes, with their numbers.
INSERT INTO node (etype, eid) VALUES {rows bigint, text} RETURNING etype, eid, id;

-- name: links_of_sources
-- What is known of relations (attr, source, entity); rows of earlier entities with the same eids are left out.
SELECT attr, source, target, until, entry_order
FROM (VALUES {rows bigint, bigint, bigint}) AS wanted CROSS JOIN link
    ON attr = wanted.column1 AND source = wanted.column2 AND entity = wanted.column3;

-- name: links_between
-- Until when links (attr, source, target, entity) hold, of those that are known.
SELECT attr, source, target, until
FROM (VALUES {rows bigint, bigint, bigint, bigint}) AS wanted CROSS JOIN link
    ON attr = wanted.column1 AND source = wanted.column2 AND target = wanted.column3
    AND entity = wanted.column4;

-- name: put_links
-- Links as they are now.
INSERT INTO link (attr, source, target, entity, until, entry_order) VALUES {rows bigint, bigint, bigint, bigint, bigint, bigint}
ON CONFLICT (attr, source, target)
DO UPDATE SET entity = excluded.entity, until = excluded.until, entry_order = excluded.entry_order;

-- name: links_beyond
-- Those links (source entity, attr, type and eid of the target, moment) that hold longer than until a moment,
-- as they are when they end then.
SELECT link.attr, link.source, link.target, link.entity, ended.column5, link.entry_order
FROM (VALUES {rows bigint, bigint, bigint, text, bigint}) AS ended
CROSS JOIN entity ON entity.key = ended.column1
CROSS JOIN node AS source ON source.etype = entity.etype AND source.eid = entity.eid
CROSS JOIN node AS target ON target.etype = ended.column3 AND target.eid = ended.column4
CROSS JOIN link ON link.attr = ended.column2 AND link.source = source.id AND link.target = target.id
WHERE link.entity = entity.key AND link.until > ended.column5;

-- name: next_change
-- The number of a commit that changes links.
UPDATE number SET value = value + 1 WHERE name = 'link_changes' RETURNING value;

-- name: last_change
-- The number of the last one.
SELECT value FROM number WHERE name = 'link_changes';

-- name: add_changes
-- The links to targets became more or fewer.
INSERT INTO link_change (at, attr, target) VALUES {rows bigint, bigint, bigint} ON CONFLICT DO NOTHING;

-- name: add_changes_of_entities
-- Entities (a JSON list of keys) are deleted (afterwards): all that they refer to has fewer links. Those that
-- have ended since the last run count, too: their rows may be gone by the next one.
INSERT INTO link_change (at, attr, target)
SELECT :change, link.attr, link.target
FROM {each :entities bigint} AS deleted
CROSS JOIN entity ON entity.key = deleted.value
CROSS JOIN node ON node.etype = entity.etype AND node.eid = entity.eid
CROSS JOIN attr ON attr.etype = entity.etype
CROSS JOIN link ON link.attr = attr.id AND link.source = node.id
WHERE link.entity = entity.key AND link.target <> 0
ON CONFLICT DO NOTHING;

-- name: edges
-- Links of a relation after a place in it, then of others (a JSON list), in the order of the key; without
-- those of deleted entities.
SELECT * FROM (
    SELECT attr, source, target, until FROM link
    WHERE attr = :first AND (source, target) > (:source, :target) AND target <> 0 AND until > :until_after
        AND EXISTS (SELECT 1 FROM entity WHERE key = link.entity)
    ORDER BY source, target LIMIT :limit)
UNION ALL
SELECT * FROM (
    SELECT attr, source, target, until FROM link
    WHERE attr IN (SELECT value FROM {each :others bigint}) AND target <> 0 AND until > :until_after
        AND EXISTS (SELECT 1 FROM entity WHERE key = link.entity)
    ORDER BY attr, source, target LIMIT :limit)
LIMIT :limit;

-- name: nodes
-- Nodes (a JSON list) and the entities that they stand for, where they exist, as one text.
SELECT json_group_array(json_array(node.id, node.etype, node.eid, coalesce(entity.key, 0)))
FROM {each :ids bigint} AS wanted CROSS JOIN node ON node.id = wanted.value
LEFT JOIN entity ON entity.etype = node.etype AND entity.eid = node.eid;

-- name: incoming
-- Existing entities that refer to targets (type, eid) through relations (a JSON list) after a moment; without
-- links to entities of the same ids that were deleted since.
SELECT node.etype, node.eid, link.attr, entity.etype, entity.eid
FROM (VALUES {rows bigint, text}) AS wanted
CROSS JOIN node ON node.etype = wanted.column1 AND node.eid = wanted.column2
LEFT JOIN tombstone ON tombstone.etype = node.etype AND tombstone.eid = node.eid
CROSS JOIN link INDEXED BY link_by_target
    ON link.target = node.id AND link.attr IN (SELECT value FROM {each ? bigint})
CROSS JOIN entity ON entity.key = link.entity
WHERE link.until > ? AND link.entry_order > coalesce(tombstone.entry_order, -1);

-- name: targets_changed
-- Targets that were given or lost links through relations (a JSON list) by commits above a number, or in a
-- range of times by themselves.
SELECT node.etype, node.eid
FROM (
    SELECT target FROM link_change WHERE at > :change AND attr IN (SELECT value FROM {each :attrs bigint})
    UNION
    SELECT target FROM link INDEXED BY link_by_until
    WHERE until > :after AND until <= :until AND until < 4611686018427387904
        AND attr IN (SELECT value FROM {each :attrs bigint})
) AS changed
JOIN node ON node.id = changed.target;
