-- name: find_entities
-- Keys and creation times of those of some entities (type, eid) that exist, with what was asked for.
SELECT entity.etype, entity.eid, entity.key, entity.created
FROM (VALUES {rows bigint, text}) AS wanted CROSS JOIN entity
    ON entity.etype = wanted.column1 AND entity.eid = wanted.column2;

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
SELECT entity, attr, entry_order, written, v FROM plain WHERE entity = ? ORDER BY attr;

-- name: plain_of_attr
-- The plain value of one attribute of an entity.
SELECT entity, attr, entry_order, written, v FROM plain WHERE entity = ? AND attr = ?;

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

-- name: entities_in_range
-- Entities of some types (a JSON list) in a range of keys, as one text.
SELECT json_group_array(json_array(key, etype, eid))
FROM (
    SELECT key, etype, eid FROM entity NOT INDEXED
    WHERE key > :after AND key < :end AND etype IN (SELECT value FROM {each :etypes bigint})
    ORDER BY key LIMIT :limit);

-- name: by_key
-- What there is to know of some entities (a JSON list), as one text.
SELECT json_group_array(json_array(entity.key, entity.etype, entity.eid, entity.created))
FROM {each ? bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value;

-- name: count_between
-- How many entities of a type there are in a range of keys.
SELECT count(*) FROM entity NOT INDEXED WHERE key > ? AND key < ? AND etype = ?;

-- name: entities_between
-- Entities of a type in a range of keys, as one text.
SELECT json_group_array(json_array(key, eid))
FROM (SELECT key, eid FROM entity NOT INDEXED WHERE key > ? AND key < ? AND etype = ? ORDER BY key LIMIT ?);

-- name: range_after
-- The range of keys of the next entities.
SELECT min(key), max(key) FROM (SELECT key FROM entity WHERE key > ? ORDER BY key LIMIT ?);

-- name: any_tombstone
-- Whether anybody may have links to a deleted entity.
SELECT EXISTS (SELECT 1 FROM tombstone);

-- name: removed_links
-- Deleted entities to which some entities (a JSON list) have links that held then, with the attribute.
SELECT entity.key, link.attr, tombstone.etype, tombstone.eid, tombstone.partition,
    tombstone.entry_order, tombstone.at,
    tombstone.main, tombstone.derived
FROM {each ? bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value
CROSS JOIN node AS source ON source.etype = entity.etype AND source.eid = entity.eid
CROSS JOIN attr ON attr.etype = entity.etype
CROSS JOIN link ON link.attr = attr.id AND link.source = source.id
CROSS JOIN node AS target ON target.id = link.target
CROSS JOIN tombstone ON tombstone.etype = target.etype AND tombstone.eid = target.eid
WHERE link.entity = entity.key AND link.until > tombstone.at;
