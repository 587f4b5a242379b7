-- name: find_entity
-- Key and creation time of an entity, with what was asked for.
SELECT etype, eid, key, created FROM entity WHERE etype = ? AND eid = ?;

-- name: entity_by_name
-- Key and creation time of an entity of a type given by name, and the type's number.
SELECT entity.key, entity.created, etype.id
FROM etype JOIN entity ON entity.etype = etype.id
WHERE etype.name = ? AND entity.eid = ?;

-- name: entities_page
-- Entities of a type given by name, from an id on, in the order of their ids as text.
SELECT entity.key, entity.eid, entity.created
FROM etype JOIN entity ON entity.etype = etype.id
WHERE etype.name = ? AND entity.eid >= ? ORDER BY entity.eid LIMIT ?;

-- name: attr_number
-- The number of an attribute, if it has one.
SELECT id FROM attr WHERE etype = ? AND name = ?;

-- name: plain
-- All plain values of an entity.
SELECT entity, attr, written, v FROM plain WHERE entity = ? ORDER BY attr;

-- name: plain_of_attr
-- The plain value of one attribute of an entity.
SELECT entity, attr, written, v FROM plain WHERE entity = ? AND attr = ?;

-- name: history
-- The whole history of an entity in the order of the log.
SELECT key, entity, attr, t1, t2, c, v FROM fresh CROSS JOIN incoming USING (key) WHERE entity = ? ORDER BY key;

-- name: history_of_attr
-- The history of one attribute of an entity in the order of the log.
SELECT key, entity, attr, t1, t2, c, v FROM fresh CROSS JOIN incoming USING (key)
WHERE entity = ? AND attr = ? ORDER BY key;

-- name: packed
-- The packed history of an entity.
SELECT attr, v, segments FROM packed WHERE entity = ?;

-- name: packed_of_attr
-- The packed history of one attribute of an entity.
SELECT attr, v, segments FROM packed WHERE entity = ? AND attr = ?;

-- name: ttl
-- The lifetimes of an entity.
SELECT name, until FROM ttl WHERE entity = ?;

-- name: entity_counts
-- Number of entities by type; kept by triggers.
SELECT name, entities FROM etype;

-- name: last_keys
-- The highest entity key ever used, by partition.
SELECT partition, last_key FROM key_space;
