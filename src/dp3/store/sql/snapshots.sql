-- Slices are written beside a thread that computes, so what there is for every entity takes one step for
-- hundreds of them.

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

-- name: latest_documents
-- The documents of the newest rows of some entities (a JSON list), as one text.
SELECT json_group_array(json_array(snapshot.entity, hex(snapshot.doc)))
FROM {each ? bigint} AS wanted CROSS JOIN latest ON latest.entity = wanted.value
CROSS JOIN snapshot ON snapshot.entity = latest.entity AND snapshot.run = latest.run;

-- name: rows_of
-- All rows of an entity given by type name and eid; empty ones only say that there are none for a while.
SELECT snapshot.entity, snapshot.run, snapshot.doc
FROM etype JOIN entity ON entity.etype = etype.id CROSS JOIN snapshot ON snapshot.entity = entity.key
WHERE etype.name = ? AND entity.eid = ? AND snapshot.doc <> x''
ORDER BY snapshot.run;

-- name: existing
-- Those of some entities (a JSON list) that exist, and whether they have no row yet.
SELECT json_group_array(json_array(entity.key, latest.run IS NULL))
FROM {each ? bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value
LEFT JOIN latest ON latest.entity = entity.key;

-- name: put_snapshots
-- The values of entities from a run on.
INSERT INTO snapshot (entity, run, doc) VALUES {rows bigint, bigint, bytea}
ON CONFLICT (entity, run) DO UPDATE SET
    doc = excluded.doc;

-- name: add_superseded
-- Rows of entities of a partition that are older than a run are not needed from that run on.
INSERT INTO superseded (partition, run, entity) VALUES {rows bigint, bigint, bigint} ON CONFLICT DO NOTHING;

-- name: put_latest
-- Which rows of entities are the newest.
INSERT INTO latest (entity, run) VALUES {rows bigint, bigint}
ON CONFLICT (entity) DO UPDATE SET run = excluded.run WHERE excluded.run > coalesce(latest.run, -1);

-- name: put_due
-- When the values of entities change by themselves.
INSERT INTO latest (entity, due) VALUES {rows bigint, bigint}
ON CONFLICT (entity) DO UPDATE SET due = excluded.due WHERE latest.due IS DISTINCT FROM excluded.due;

-- name: put_latest_and_due
-- Both.
INSERT INTO latest (entity, run, due) VALUES {rows bigint, bigint, bigint}
ON CONFLICT (entity) DO UPDATE SET run = max(excluded.run, coalesce(latest.run, -1)), due = excluded.due;

-- name: note_last_seen
-- Which run saw entities (a JSON list) last that are missing now. If they were missing before it is known.
INSERT INTO last_seen (entity, time)
SELECT seen.entity, run.time
FROM (
    SELECT latest.entity, latest.run, coalesce((
        SELECT cut.run FROM cut WHERE cut.partition = latest.entity >> 40 ORDER BY cut.run DESC LIMIT 1), 0) AS done
    FROM {each ? bigint} AS wanted CROSS JOIN latest ON latest.entity = wanted.value) AS seen
CROSS JOIN run ON run.id = max(seen.run, seen.done)
WHERE seen.run > seen.done
    OR NOT EXISTS (SELECT 1 FROM missing WHERE missing.entity = seen.entity AND missing.run = seen.done)
ON CONFLICT (entity) DO UPDATE SET time = excluded.time;

-- name: add_missing
-- Entities have no snapshot in a run.
INSERT INTO missing (entity, run) VALUES {rows bigint, bigint} ON CONFLICT DO NOTHING;

-- name: some_of_type
-- Some entities of a type that is in the index.
SELECT entity FROM current NOT INDEXED WHERE path = ? LIMIT ?;

-- name: indexed_types
-- Types that are in the index, with the number of their path of eids.
SELECT attr.etype, attr.id FROM attr JOIN path ON path.id = attr.id
WHERE attr.name = 'eid' AND path.keys > 0;

-- name: end_series
-- From the open run on (the next one if none is) an entity has no snapshots: an empty row says so.
INSERT INTO snapshot (entity, run, doc)
SELECT
    entity,
    max(run + 1, (SELECT coalesce(max(id) FILTER (WHERE phase <> 'closed'), max(id) + 1) FROM run)),
    x''
FROM latest WHERE entity = ? AND run IS NOT NULL
ON CONFLICT (entity, run) DO UPDATE SET
    doc = excluded.doc;

-- name: supersede_series
-- The rows of an entity before its last one are not needed from that one on.
INSERT INTO superseded (partition, run, entity)
SELECT entity >> 40, max(run), entity FROM snapshot WHERE entity = ? GROUP BY entity ON CONFLICT DO NOTHING;

-- name: forget_latest
-- An entity has no newest row any more.
UPDATE latest SET run = NULL, due = NULL WHERE entity = ?;

-- name: forget_keys
-- An entity is not in the index any more.
DELETE FROM current WHERE entity = ?;
