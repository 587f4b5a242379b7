-- name: delete_entities
-- A trigger counts entities (a JSON list of keys) off and notes their rows for removal.
DELETE FROM entity WHERE key IN (SELECT value FROM {each ? bigint});

-- name: forget_expiry_checks
-- The tokens of deleted entities are not checked again.
DELETE FROM lifetime WHERE entity IN (SELECT value FROM {each ? bigint});

-- name: forget_unreferenced
-- Nor is asked who refers to them.
DELETE FROM unreferenced WHERE entity IN (SELECT value FROM {each ? bigint});

-- name: create_entities
-- Nothing happens for keys that were used before: they exist, or they were deleted and must stay so.
INSERT INTO entity (key, etype, eid, created)
SELECT column1, column2, column3, column4 FROM (VALUES {rows bigint, bigint, text, bigint})
WHERE column1 > coalesce((SELECT last_key FROM key_space WHERE partition = column1 >> 40), -1);

-- name: put_plain
-- The value of the highest order wins.
INSERT INTO plain (entity, attr, entry_order, written, v) VALUES {rows bigint, bigint, bigint, bigint, bytea}
ON CONFLICT (entity, attr) DO UPDATE SET
    entry_order = excluded.entry_order, written = excluded.written, v = excluded.v
    WHERE excluded.entry_order >= plain.entry_order;

-- name: put_incoming
-- What data-points say.
INSERT INTO incoming (key, t1, t2, c, v) VALUES {rows bigint, bigint, bigint, bigint, bytea};

-- name: put_fresh
-- Whose they are.
INSERT INTO fresh (entity, attr, key) VALUES {rows bigint, bigint, bigint};

-- name: put_ttl
-- Lifetimes are only ever extended; nothing happens for entities that do not exist.
INSERT INTO ttl (entity, name, until)
SELECT column1, column2, column3 FROM (VALUES {rows bigint, text, bigint})
WHERE EXISTS (SELECT 1 FROM entity WHERE key = column1)
ON CONFLICT (entity, name) DO UPDATE SET until = excluded.until WHERE excluded.until > ttl.until;

-- name: put_expiry_checks
-- When tokens are to be checked, if not before; nothing happens for entities that do not exist.
INSERT INTO lifetime (entity, look)
SELECT column1, column2 FROM (VALUES {rows bigint, bigint})
WHERE EXISTS (SELECT 1 FROM entity WHERE key = column1)
ON CONFLICT (entity) DO UPDATE SET look = excluded.look WHERE excluded.look < lifetime.look;

-- name: put_tombstones
-- Entities were deleted; of several times the last one counts.
INSERT INTO tombstone (etype, eid, partition, entry_order, at, main, derived) VALUES {rows bigint, text, bigint, bigint, bigint, bigint, bigint}
ON CONFLICT (etype, eid) DO UPDATE SET
    entry_order = excluded.entry_order, at = excluded.at, main = excluded.main, derived = excluded.derived, phase = 0, attr = 0, source = 0
WHERE excluded.entry_order > tombstone.entry_order;

-- name: tombstones_done
-- That all were told (type, eid, order of each deletion, offset) stands in the log.
UPDATE tombstone SET phase = 2, told = done.column4
FROM (VALUES {rows bigint, text, bigint, bigint}) AS done
WHERE etype = done.column1 AND eid = done.column2 AND entry_order = done.column3 AND phase = 1;

-- name: remove_plain
-- Plain values of which nothing is left.
DELETE FROM plain WHERE (entity, attr) IN (VALUES {rows bigint, bigint});

-- name: remove_packed
-- Packed rows that mention a deleted entity.
DELETE FROM packed WHERE (entity, attr, tag, part) IN (VALUES {rows bigint, bigint, bigint, bigint});

-- name: remove_history
-- History rows that mention a deleted entity.
DELETE FROM fresh WHERE (entity, attr, key) IN (VALUES {rows bigint, bigint, bigint});

-- name: remove_incoming
-- What they (a JSON list of keys) say.
DELETE FROM incoming WHERE key IN (SELECT value FROM {each ? bigint});

-- name: remove_dead_letters
-- Dead letters (a JSON list) that were retried or dropped.
DELETE FROM dead_letter WHERE id IN (SELECT value FROM {each ? bigint});

-- name: add_refused
-- Tasks that an allow hook refused.
INSERT INTO refused (lane, offset, first) VALUES {rows bigint, bigint, bigint} ON CONFLICT DO NOTHING;

-- name: finish_control
-- The results of control messages (id, result); the first one stays.
UPDATE control SET result = done.column2
FROM (VALUES {rows bigint, text}) AS done
WHERE id = done.column1 AND result IS NULL;

-- name: own_positions
-- What the partitions of a worker have reached in a lane.
SELECT partition, offset FROM position WHERE lane = :lane AND partition % :worker_processes = :worker;

-- name: advance
-- What all partitions of a worker have reached in a lane; some may have been further.
UPDATE position SET offset = max(offset, :offset), entry_order = max(entry_order, :entry_order)
WHERE lane = :lane AND partition % :worker_processes = :worker;

-- name: positions
-- What every partition has reached in every lane.
SELECT partition, lane, offset FROM position ORDER BY partition, lane;

-- name: order
-- The highest order of an entry that was applied.
SELECT max(entry_order) FROM position;

-- name: refused_between
-- Refused tasks of a range of entries.
SELECT offset, first FROM refused WHERE lane = ? AND offset BETWEEN ? AND ?;

-- name: forget_refused
-- Refused tasks of entries that are gone.
DELETE FROM refused WHERE lane = ? AND offset <= ?;
