-- name: any_tombstone
-- Whether anybody may have links to a deleted entity.
SELECT EXISTS (SELECT 1 FROM tombstone);

-- name: gone
-- Deleted entities to which some entities (a JSON list) have links that held then, with the attribute.
SELECT entity.key, link.attr, tombstone.etype, tombstone.eid, tombstone.partition, tombstone.at,
    tombstone.main, tombstone.derived
FROM json_each(?) AS wanted CROSS JOIN entity ON entity.key = wanted.value
CROSS JOIN node AS source ON source.etype = entity.etype AND source.eid = entity.eid
CROSS JOIN attr ON attr.etype = entity.etype
CROSS JOIN link ON link.attr = attr.id AND link.source = source.id
CROSS JOIN node AS target ON target.id = link.target
CROSS JOIN tombstone ON tombstone.etype = target.etype AND tombstone.eid = target.eid
WHERE link.entity = entity.key AND link.until > tombstone.at;
