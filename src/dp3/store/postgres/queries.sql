-- name: texts
-- The keys of all rows in a range of a path as one JSON list.
SELECT coalesce(json_agg(convert_from(substr(key, 2), 'UTF8') ORDER BY key), '[]')
FROM current WHERE path = ? AND key >= ? AND key < ?;

-- name: scan
-- Entities in the order of their keys at a path.
SELECT * FROM (SELECT e.entity, {columns} FROM current AS e WHERE e.path = {path} AND {holds}) AS e
WHERE {beyond} ORDER BY {order} LIMIT {limit};

-- name: among
-- Entities out of candidates.
SELECT * FROM (SELECT e.entity, {columns} FROM ({candidates}) AS e WHERE {holds}) AS e
WHERE {beyond} ORDER BY {order} LIMIT {limit};

-- name: found
-- What a question answers about entities, in their order.
SELECT e.eid, {run_time}, {document}
FROM (
    SELECT entity.key AS entity, entity.eid, wanted.nth
    FROM {each ? bigint} AS wanted JOIN entity ON entity.key = wanted.value) AS e
ORDER BY e.nth;
