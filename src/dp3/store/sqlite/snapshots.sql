-- name: due_bounded
-- How many entities are due, counted up to a limit.
SELECT count(*) FROM (SELECT 1 FROM latest INDEXED BY latest_due WHERE due <= ? LIMIT ?);

-- name: due_few
-- Due entities of a worker's partitions, when there are few in all.
SELECT entity FROM latest INDEXED BY latest_due
WHERE due <= :until AND entity > :after AND (entity >> 40) % :worker_processes = :worker
ORDER BY entity LIMIT :limit;

-- name: due_in_range
-- Due entities of a range of keys, when there are many.
SELECT entity FROM latest NOT INDEXED
WHERE entity > :after AND entity < :end AND due <= :until
ORDER BY entity LIMIT :limit;

-- name: entities_in_range
-- Entities of some types (a JSON list) in a range of keys, as one text.
SELECT json_group_array(json_array(key, etype, eid))
FROM (
    SELECT key, etype, eid FROM entity NOT INDEXED
    WHERE key > :after AND key < :end AND etype IN (SELECT value FROM json_each(:etypes))
    ORDER BY key LIMIT :limit);

-- name: entities
-- What there is to know of some entities (a JSON list), as one text.
SELECT json_group_array(json_array(entity.key, entity.etype, entity.eid, entity.created))
FROM json_each(?) AS wanted CROSS JOIN entity ON entity.key = wanted.value;

-- name: profiles
-- All about some entities (a JSON list): their keys, and a line for each. The whole page is read in one step.
SELECT json_group_array(entity.key), group_concat(
    '[' || entity.key || ',' || entity.created
    || ',' || (SELECT json_group_array(json_array(attr, written, hex(v))) FROM plain WHERE entity = wanted.value)
    || ',' || (
        SELECT '[' || coalesce(group_concat(observed), '') || ']'
        FROM (
            SELECT '[' || attr || ',' || json_group_array(json_array(t1, t2, c, hex(v), 1)) || ']' AS observed
            FROM fresh CROSS JOIN incoming USING (key)
            WHERE entity = wanted.value AND c IS NOT NULL GROUP BY attr))
    || ',' || (
        SELECT json_group_array(json_array(attr, hex(v), hex(segments)))
        FROM packed WHERE entity = wanted.value AND (:whole OR tag >= 0))
    || CASE WHEN :whole THEN
        ',' || (
            SELECT json_group_array(json_array(attr, t1, t2, hex(v)))
            FROM fresh CROSS JOIN incoming USING (key) WHERE entity = wanted.value AND c IS NULL)
        || ',' || (SELECT json_group_object(name, until) FROM ttl WHERE entity = wanted.value)
        ELSE '' END
    || ']', char(10))
FROM json_each(:keys) AS wanted CROSS JOIN entity ON entity.key = wanted.value;

-- name: latest_rows
-- The newest rows of some entities (a JSON list), as one text.
SELECT json_group_array(json_array(snapshot.entity, snapshot.run, hex(snapshot.doc)))
FROM json_each(?) AS wanted CROSS JOIN latest ON latest.entity = wanted.value
CROSS JOIN snapshot ON snapshot.entity = latest.entity AND snapshot.run = latest.run;

-- name: rows_of
-- All rows of an entity given by type name and eid; empty ones only say that there are none for a while.
SELECT snapshot.entity, snapshot.run, snapshot.doc
FROM etype JOIN entity ON entity.etype = etype.id CROSS JOIN snapshot ON snapshot.entity = entity.key
WHERE etype.name = ? AND entity.eid = ? AND snapshot.doc <> x''
ORDER BY snapshot.run;
