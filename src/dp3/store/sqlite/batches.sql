-- name: delete_entity
-- A trigger counts it off and notes its rows for removal.
DELETE FROM entity WHERE key = ?;

-- name: forget_expiry_check
-- The tokens of a deleted entity are not checked again.
DELETE FROM lifetime WHERE entity = ?;

-- name: forget_unreferenced
-- Nor is asked who refers to it.
DELETE FROM unreferenced WHERE entity = ?;

-- name: create_entity
-- Nothing happens for a key that was used before: it exists, or it was deleted and must stay so.
INSERT INTO entity (key, etype, eid, created)
SELECT ?1, ?2, ?3, ?4
WHERE ?1 > coalesce((SELECT last_key FROM key_space WHERE partition = ?1 >> 40), -1);

-- name: put_plain
-- The value of the highest order wins.
INSERT INTO plain (entity, attr, entry_order, written, v) VALUES {rows}
ON CONFLICT (entity, attr) DO UPDATE SET
    entry_order = excluded.entry_order, written = excluded.written, v = excluded.v
    WHERE excluded.entry_order >= plain.entry_order;

-- name: put_incoming
-- What data-points say.
INSERT INTO incoming (key, t1, t2, c, v) VALUES {rows};

-- name: put_fresh
-- Whose they are.
INSERT INTO fresh (entity, attr, key) VALUES {rows};

-- name: put_ttl
-- A lifetime is only ever extended; nothing happens for an entity that does not exist.
INSERT INTO ttl (entity, name, until)
SELECT ?1, ?2, ?3
WHERE EXISTS (SELECT 1 FROM entity WHERE key = ?1)
ON CONFLICT (entity, name) DO UPDATE SET until = excluded.until WHERE excluded.until > ttl.until;

-- name: put_expiry_check
-- When tokens are to be checked, if not before; nothing happens for an entity that does not exist.
INSERT INTO lifetime (entity, look)
SELECT ?1, ?2
WHERE EXISTS (SELECT 1 FROM entity WHERE key = ?1)
ON CONFLICT (entity) DO UPDATE SET look = excluded.look WHERE excluded.look < lifetime.look;

-- name: put_tombstone
-- An entity was deleted; of several times the last one counts.
INSERT INTO tombstone (etype, eid, partition, entry_order, at, main, derived) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (etype, eid) DO UPDATE SET
    entry_order = excluded.entry_order, at = excluded.at, main = excluded.main, derived = excluded.derived, phase = 0, attr = 0, source = 0
WHERE excluded.entry_order > tombstone.entry_order;

-- name: tombstone_done
-- That all were told stands in the log.
UPDATE tombstone SET phase = 2, told = ?4 WHERE etype = ?1 AND eid = ?2 AND entry_order = ?3 AND phase = 1;

-- name: remove_plain
-- A plain value of which nothing is left.
DELETE FROM plain WHERE entity = ? AND attr = ?;

-- name: remove_packed
-- A packed row that mentions a deleted entity.
DELETE FROM packed WHERE entity = ? AND attr = ? AND tag = ? AND part = ?;

-- name: remove_history
-- A history row that mentions a deleted entity.
DELETE FROM fresh WHERE entity = ? AND attr = ? AND key = ?;

-- name: remove_incoming
-- What it says.
DELETE FROM incoming WHERE key = ?;

-- name: remove_dead_letter
-- A dead letter that was retried or dropped.
DELETE FROM dead_letter WHERE id = ?;

-- name: add_refused
-- A task that an allow hook refused.
INSERT INTO refused (lane, offset, first) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: finish_control
-- The result of a control message; the first one stays.
UPDATE control SET result = :result WHERE id = :id AND result IS NULL;

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
