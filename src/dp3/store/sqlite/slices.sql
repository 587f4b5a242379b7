-- name: exists
-- An entity that exists, and whether it has no row yet.
SELECT entity.key, latest.run IS NULL
FROM entity LEFT JOIN latest ON latest.entity = entity.key WHERE entity.key = ?;

-- name: put_snapshot
-- The values of an entity from a run on.
INSERT OR REPLACE INTO snapshot (entity, run, doc) VALUES (?, ?, ?);

-- name: put_latest
-- Which row of an entity is the newest.
INSERT INTO latest (entity, run) VALUES (?, ?)
ON CONFLICT (entity) DO UPDATE SET run = excluded.run WHERE excluded.run > coalesce(run, -1);

-- name: put_due
-- When the values of an entity change by themselves.
INSERT INTO latest (entity, due) VALUES (?, ?)
ON CONFLICT (entity) DO UPDATE SET due = excluded.due WHERE due IS NOT excluded.due;

-- name: put_latest_and_due
-- Both.
INSERT INTO latest (entity, run, due) VALUES (?, ?, ?)
ON CONFLICT (entity) DO UPDATE SET run = max(excluded.run, coalesce(run, -1)), due = excluded.due;

-- name: add_missing
-- An entity has no snapshot in a run.
INSERT INTO missing (entity, run) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: last_outbox_key
-- The last key of tasks that slices left in a partition's lane.
SELECT source FROM outbox_key WHERE partition = ? AND lane = ?;

-- name: put_outbox_key
-- The same, after more.
INSERT OR REPLACE INTO outbox_key (partition, lane, source) VALUES (?, ?, ?);

-- name: add_outbox
-- Tasks to go to the log.
INSERT INTO outbox (partition, lane, source, after_us, tasks) VALUES (?, ?, ?, ?, ?);

-- name: count
-- Add to an event counter.
INSERT INTO counter (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;

-- name: some_of_type
-- Some entities of a type that is in the index.
SELECT entity FROM current NOT INDEXED WHERE path = ? LIMIT ?;

-- name: indexed_types
-- Types that are in the index, with the number of their path of eids.
SELECT attr.etype, attr.id FROM attr JOIN path ON path.id = attr.id
WHERE attr.name = 'eid' AND path.keys > 0;

-- name: end_series
-- From the open run on (the next one if none is) an entity has no snapshots: an empty row says so.
INSERT OR REPLACE INTO snapshot (entity, run, doc)
SELECT
    entity,
    max(run + 1, (SELECT coalesce(max(id) FILTER (WHERE phase <> 'closed'), max(id) + 1) FROM run)),
    x''
FROM latest WHERE entity = ? AND run IS NOT NULL;

-- name: forget_latest
-- An entity has no newest row any more.
UPDATE latest SET run = NULL, due = NULL WHERE entity = ?;

-- name: forget_keys
-- An entity is not in the index any more.
DELETE FROM current WHERE entity = ?;
