-- name: source
-- The type and eid of the source of a link, if it exists.
SELECT etype, eid FROM entity WHERE key = ?;

-- name: find_node
-- The number of a node.
SELECT id FROM node WHERE etype = ? AND eid = ?;

-- name: add_node
-- A new node.
INSERT INTO node (etype, eid) VALUES (?, ?) RETURNING id;

-- name: links_of_source
-- What is known of a relation of a source; rows of an earlier entity with the same eid are left out.
SELECT target, until, entry_order FROM link WHERE attr = ? AND source = ? AND entity = ?;

-- name: link_until
-- Until when a source refers to a target.
SELECT until FROM link WHERE attr = ? AND source = ? AND target = ? AND entity = ?;

-- name: put_link
-- A link as it is now.
INSERT INTO link (attr, source, target, entity, until, entry_order) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (attr, source, target)
DO UPDATE SET entity = excluded.entity, until = excluded.until, entry_order = excluded.entry_order;

-- name: end_link
-- A link ends, at the latest, at a moment; returns its target if that is a change.
UPDATE link SET until = ?5
WHERE attr = ?2 AND entity = ?1 AND until > ?5
    AND source = (SELECT node.id FROM entity JOIN node USING (etype, eid) WHERE entity.key = ?1)
    AND target = (SELECT id FROM node WHERE etype = ?3 AND eid = ?4)
RETURNING target;

-- name: next_change
-- The number of a commit that changes links.
UPDATE number SET value = value + 1 WHERE name = 'link_changes' RETURNING value;

-- name: last_change
-- The number of the last one.
SELECT value FROM number WHERE name = 'link_changes';

-- name: add_change
-- The links to a target became more or fewer.
INSERT INTO link_change (at, attr, target) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: add_changes_of_entity
-- An entity is deleted (afterwards): all that it refers to has fewer links. Those that have ended since the
-- last run count, too: their rows may be gone by the next one.
INSERT INTO link_change (at, attr, target)
SELECT :change, link.attr, link.target
FROM entity
JOIN node ON node.etype = entity.etype AND node.eid = entity.eid
CROSS JOIN attr ON attr.etype = entity.etype
CROSS JOIN link ON link.attr = attr.id AND link.source = node.id
WHERE entity.key = :entity AND link.entity = :entity AND link.target <> 0
ON CONFLICT DO NOTHING;

-- name: edges
-- Links of a relation in the order of its key, without those of deleted entities.
SELECT attr, source, target, until FROM link
WHERE attr = :attr AND (source, target) > (:source, :target) AND target <> 0 AND until > :until_after
    AND EXISTS (SELECT 1 FROM entity WHERE key = link.entity)
ORDER BY source, target LIMIT :limit;

-- name: nodes
-- Nodes (a JSON list) and the entities that they stand for, where they exist, as one text.
SELECT json_group_array(json_array(node.id, node.etype, node.eid, coalesce(entity.key, 0)))
FROM json_each(:ids) AS wanted CROSS JOIN node ON node.id = wanted.value
LEFT JOIN entity ON entity.etype = node.etype AND entity.eid = node.eid;

-- name: incoming
-- Existing entities that refer to a target through a relation after a moment; without links to one of the
-- same id that was deleted since.
SELECT :etype, :eid, link.attr, entity.etype, entity.eid
FROM node
CROSS JOIN link INDEXED BY link_by_target ON link.target = node.id AND link.attr = :attr
CROSS JOIN entity ON entity.key = link.entity
WHERE node.etype = :etype AND node.eid = :eid AND link.until > :at
    AND link.entry_order > coalesce((SELECT entry_order FROM tombstone WHERE etype = :etype AND eid = :eid), -1);

-- name: targets_changed
-- Targets that were given or lost links through a relation by commits above a number, or in a range of times
-- by themselves.
SELECT node.etype, node.eid
FROM (
    SELECT target FROM link_change WHERE at > :change AND attr = :attr
    UNION
    SELECT target FROM link INDEXED BY link_by_until
    WHERE until > :after AND until <= :until AND until < 4611686018427387904 AND attr = :attr
) AS changed
JOIN node ON node.id = changed.target;
