-- name: etype_id
-- The number of an entity type, made when it is new.
INSERT INTO etype (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id;

-- name: attr_id
-- The number of an attribute of an entity type (given by number), made when it is new.
INSERT INTO attr (etype, name) VALUES (?, ?)
ON CONFLICT (etype, name) DO UPDATE SET name = excluded.name RETURNING id;

-- name: known_etypes
-- All entity types.
SELECT name, id FROM etype;

-- name: known_attrs
-- All attributes.
SELECT etype.name, attr.name, attr.id FROM attr JOIN etype ON etype.id = attr.etype;
