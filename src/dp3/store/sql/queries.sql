-- Pieces in braces are filled in by the compiler with SQL that it made and numbered parameters, never
-- with values. `e` is the entity in question, `k` one of its keys.

-- name: path
-- The number of a path of a type.
SELECT attr.id FROM etype JOIN attr ON attr.etype = etype.id WHERE etype.name = ? AND attr.name = ?;

-- name: sizes
-- How many keys a path has, and how many entities have any.
SELECT keys, entities FROM path WHERE id = ?;

-- name: any_garbage
-- Whether there are deleted entities with rows left.
SELECT EXISTS (SELECT 1 FROM garbage);

-- name: not_deleted
-- The entity exists.
NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.entity = e.entity)

-- name: has_key
-- The entity has a key at a path for which something holds.
EXISTS (
    SELECT 1 FROM current AS k INDEXED BY current_of_entity
    WHERE k.entity = e.entity AND k.path = {path} AND {holds})

-- name: with_key
-- Entities that have a key at a path for which something holds; once for each such key.
SELECT k.entity AS entity FROM current AS k NOT INDEXED WHERE k.path = {path} AND {holds}

-- name: bounded
-- How many rows something has, counted up to a limit.
SELECT count(*) FROM (SELECT 1 FROM ({rows}) LIMIT {limit});

-- name: text_after
-- The key so many rows further in a range of a path.
SELECT key FROM current NOT INDEXED
WHERE path = ? AND key >= ? AND key < ? ORDER BY key LIMIT 1 OFFSET ?;

-- name: texts
-- The keys of all rows in a range of a path as one JSON list: fetched row by row they take twice as long, and
-- much longer while other threads of the process are busy.
SELECT json_group_array(key) FROM current NOT INDEXED WHERE path = ? AND key >= ? AND key < ?;

-- name: smallest
-- The key of the entity that counts for ascending order.
(SELECT k.key FROM current AS k INDEXED BY current_of_entity
    WHERE k.entity = e.entity AND k.path = {path} ORDER BY k.key LIMIT 1)

-- name: largest
-- The key of the entity that counts for descending order.
(SELECT k.key FROM current AS k INDEXED BY current_of_entity
    WHERE k.entity = e.entity AND k.path = {path} ORDER BY k.key DESC LIMIT 1)

-- name: only_smallest
-- Of several keys of the entity at the scanned path, this is the smallest.
NOT EXISTS (
    SELECT 1 FROM current AS k INDEXED BY current_of_entity
    WHERE k.entity = e.entity AND k.path = e.path AND k.key < e.key)

-- name: only_largest
-- Of several keys of the entity at the scanned path, this is the largest.
NOT EXISTS (
    SELECT 1 FROM current AS k INDEXED BY current_of_entity
    WHERE k.entity = e.entity AND k.path = e.path AND k.key > e.key)

-- name: scan
-- Entities in the order of their keys at a path.
SELECT e.entity, {columns} FROM current AS e NOT INDEXED
WHERE e.path = {path} AND {holds} AND {beyond} ORDER BY {order} LIMIT {limit};

-- name: among
-- Entities out of candidates.
SELECT e.entity, {columns} FROM ({candidates}) AS e WHERE {holds} AND {beyond} ORDER BY {order} LIMIT {limit};

-- name: count_scan
-- How many entities of all.
SELECT count(*) FROM current AS e NOT INDEXED WHERE e.path = {path} AND {holds};

-- name: count_among
-- How many entities out of candidates.
SELECT count(*) FROM ({candidates}) AS e WHERE {holds};

-- name: distinct
-- How often each key occurs at a path.
SELECT e.key, count(*) FROM current AS e NOT INDEXED WHERE e.path = {path} AND {holds} GROUP BY e.key;

-- name: document
-- The stored form of the newest row of the entity.
(SELECT snapshot.doc FROM latest CROSS JOIN snapshot
    ON snapshot.entity = latest.entity AND snapshot.run = latest.run
    WHERE latest.entity = e.entity)

-- name: run_time
-- The time of the newest run that covers the entity, or of the run of its newest row if that is newer. When
-- the run is removed it is known, but for entities that were missing before that was noted.
coalesce((SELECT run.time FROM run WHERE run.id = max(
    (SELECT latest.run FROM latest WHERE latest.entity = e.entity),
    coalesce((
        SELECT cut.run FROM cut
        WHERE cut.partition = e.entity >> 40
            AND NOT EXISTS (SELECT 1 FROM missing WHERE missing.entity = e.entity AND missing.run = cut.run)
        ORDER BY cut.run DESC LIMIT 1), 0))),
    (SELECT last_seen.time FROM last_seen WHERE last_seen.entity = e.entity), (SELECT min(run.time) FROM run))

-- name: found
-- What a question answers about entities (a JSON list of keys), in their order.
SELECT e.eid, {run_time}, {document}
FROM (
    SELECT entity.key AS entity, entity.eid
    FROM {each ? bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value) AS e;

-- name: newest
-- The same about those of a type given by name with some eids (a JSON list), null if there is no row, and the
-- place in the order of eids.
SELECT e.eid, {run_time}, {document}, {eid_key}, e.entity
FROM (
    SELECT entity.key AS entity, entity.eid
    FROM {each ?2 text} AS wanted CROSS JOIN entity
        ON entity.etype = (SELECT id FROM etype WHERE name = ?1) AND entity.eid = wanted.value) AS e;

-- name: any_keys
-- Whether a type has keys at one of some paths (a JSON list).
SELECT EXISTS (
    SELECT 1 FROM etype CROSS JOIN {each ?2 text} AS wanted
    CROSS JOIN attr ON attr.etype = etype.id AND attr.name = wanted.value CROSS JOIN path ON path.id = attr.id
    WHERE etype.name = ?1 AND path.keys > 0);

-- name: ever_had_keys
-- Whether a type ever had keys at one of some paths (a JSON list) or below it. A dot is followed by a slash.
SELECT EXISTS (
    SELECT 1 FROM etype CROSS JOIN {each ?2 text} AS wanted
    CROSS JOIN attr ON attr.etype = etype.id AND (
        attr.name = wanted.value OR (attr.name > wanted.value || '.' AND attr.name < wanted.value || '/'))
    CROSS JOIN path ON path.id = attr.id
    WHERE etype.name = ?1);

-- name: first_steps
-- Names at the beginning of paths that have keys, out of so many paths.
SELECT DISTINCT substr(name, 1, instr(name || '.', '.') - 1) FROM (
    SELECT attr.name AS name FROM etype CROSS JOIN attr ON attr.etype = etype.id
    CROSS JOIN path ON path.id = attr.id
    WHERE etype.name = ? AND path.keys > 0 LIMIT ?);
