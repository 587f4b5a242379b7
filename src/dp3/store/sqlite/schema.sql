-- name: schema
-- Everything the state holds. Times are microseconds since the epoch, confidences units of 1e-9, `v` and
-- `tasks` encoded as in the model; an entity's key is partition << 40 | running number.

-- Single numbers: `partitions` (never changes), `dead_letters` (how many are kept; see the triggers),
-- `worker_processes` (when a lease was last taken) and `snapshot_horizon` (the oldest run that is kept).
CREATE TABLE number (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO number VALUES ('dead_letters', 0);

CREATE TABLE etype (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    entities INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE attr (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    etype INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (etype, name)
) STRICT;

CREATE TABLE entity (
    key INTEGER PRIMARY KEY,
    etype INTEGER NOT NULL,
    eid TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (etype, eid)
) STRICT;

-- The highest entity key ever used in a partition: keys of deleted entities never come back.
CREATE TABLE key_space (
    partition INTEGER PRIMARY KEY,
    last_key INTEGER NOT NULL
) STRICT;

-- Deleted entities whose rows are still to be removed.
CREATE TABLE garbage (
    entity INTEGER PRIMARY KEY,
    etype INTEGER NOT NULL,
    eid TEXT NOT NULL
) STRICT;

CREATE TRIGGER entity_created AFTER INSERT ON entity BEGIN
    UPDATE etype SET entities = entities + 1 WHERE id = new.etype;
    INSERT INTO key_space VALUES (new.key >> 40, new.key)
        ON CONFLICT (partition) DO UPDATE SET last_key = max(last_key, excluded.last_key);
END;

CREATE TRIGGER entity_deleted AFTER DELETE ON entity BEGIN
    UPDATE etype SET entities = entities - 1 WHERE id = old.etype;
    INSERT INTO garbage VALUES (old.key, old.etype, old.eid);
END;

CREATE TABLE plain (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    written INTEGER NOT NULL,
    v BLOB NOT NULL,
    PRIMARY KEY (entity, attr)
) STRICT, WITHOUT ROWID;

-- History as it comes in: the key is the place in the log, so rows are nearly appended.
CREATE TABLE fresh (
    key INTEGER PRIMARY KEY,
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    t2 INTEGER NOT NULL,
    c INTEGER,
    v BLOB NOT NULL
) STRICT;
CREATE INDEX fresh_by_entity ON fresh (entity, attr);

CREATE TABLE ttl (
    entity INTEGER NOT NULL,
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (entity, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    source INTEGER NOT NULL,
    after_us INTEGER NOT NULL,
    tasks BLOB NOT NULL
) STRICT;

CREATE TABLE position (
    lane INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (lane, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE refused (
    lane INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    first INTEGER NOT NULL,
    PRIMARY KEY (lane, offset, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    module TEXT NOT NULL,
    hook TEXT NOT NULL,
    partition INTEGER NOT NULL,
    etype TEXT NOT NULL,
    eid TEXT NOT NULL,
    reason TEXT NOT NULL,
    traceback TEXT NOT NULL,
    task BLOB NOT NULL,
    context TEXT NOT NULL
) STRICT;
-- Filters look here, not into the rows: tracebacks are long.
CREATE INDEX dead_letter_subject ON dead_letter (kind, module, hook, etype, eid);

CREATE TRIGGER dead_letter_kept AFTER INSERT ON dead_letter BEGIN
    UPDATE number SET value = value + 1 WHERE name = 'dead_letters';
END;

CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letter BEGIN
    UPDATE number SET value = value - 1 WHERE name = 'dead_letters';
END;

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An epoch is never used twice, so a taken-over worker cannot find its lease again.
CREATE TABLE lease (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    worker INTEGER NOT NULL UNIQUE,
    worker_processes INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started REAL,
    heartbeat INTEGER NOT NULL,
    status TEXT NOT NULL
) STRICT;

-- `args` and `result` are JSON; a message without a result is pending.
CREATE TABLE control (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    worker INTEGER NOT NULL,
    action TEXT NOT NULL,
    args TEXT NOT NULL,
    result TEXT,
    sent INTEGER NOT NULL
) STRICT;
CREATE INDEX control_pending ON control (worker) WHERE result IS NULL;

-- The ends of links: entities that exist or do not.
CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    etype INTEGER NOT NULL,
    eid TEXT NOT NULL,
    UNIQUE (etype, eid)
) STRICT;

-- `source` and `target` are nodes, `entity` is the source's key. Target 0 is no node: a plain relation that
-- was emptied. Rows that ended stay for a while for those who ask what has changed.
CREATE TABLE link (
    attr INTEGER NOT NULL,
    source INTEGER NOT NULL,
    target INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    until INTEGER NOT NULL,
    written INTEGER NOT NULL,
    PRIMARY KEY (attr, source, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_by_target ON link (target, attr);
-- Links for ever (2^62) need no place in it.
CREATE INDEX link_by_until ON link (until) WHERE until < 4611686018427387904;

-- By which commit (`at`, a number) the links to a target became more or fewer; that a link ended by itself is
-- seen above.
CREATE TABLE link_change (
    at INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    target INTEGER NOT NULL,
    PRIMARY KEY (at, attr, target)
) STRICT, WITHOUT ROWID;

-- `phase`, `status` and `detail` (JSON) as in `Run`.
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL UNIQUE,
    phase TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    workers INTEGER NOT NULL,
    started INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX run_open ON run (id) WHERE phase <> 'closed';

-- `mark` is JSON.
CREATE TABLE worker_run (
    run INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    done TEXT NOT NULL,
    mark TEXT NOT NULL,
    entities INTEGER NOT NULL,
    written INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (run, worker)
) STRICT, WITHOUT ROWID;

-- The partitions that a run completed, and how far in the log it has seen them.
CREATE TABLE cut (
    partition INTEGER NOT NULL,
    run INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (partition, run, lane)
) STRICT, WITHOUT ROWID;

-- Entities without a snapshot in a run that completed their partition.
CREATE TABLE missing (
    entity INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (entity, run)
) STRICT, WITHOUT ROWID;

-- A row holds from its run on until the next row of the entity; an empty one says that there is no snapshot.
CREATE TABLE snapshot (
    entity INTEGER NOT NULL,
    run INTEGER NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (entity, run)
) STRICT, WITHOUT ROWID;

-- `run` is that of the newest row, null if there is none; `due` is when the values change by themselves.
CREATE TABLE latest (
    entity INTEGER PRIMARY KEY,
    run INTEGER,
    due INTEGER
) STRICT;
CREATE INDEX latest_due ON latest (due) WHERE due IS NOT NULL;

-- The scalars of the newest rows. A path is a row of `attr`; the order of keys is numbers, texts, bytes.
CREATE TABLE current (
    path INTEGER NOT NULL,
    key ANY NOT NULL,
    entity INTEGER NOT NULL,
    PRIMARY KEY (path, key, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX current_of_entity ON current (entity, path, key);

-- Size of each path of the index: keys, and entities that have any.
CREATE TABLE path (
    id INTEGER PRIMARY KEY,
    keys INTEGER NOT NULL,
    entities INTEGER NOT NULL
) STRICT;

-- Whoever adds keys counts them.
CREATE TRIGGER key_removed AFTER DELETE ON current BEGIN
    UPDATE path SET
        keys = keys - 1,
        entities = entities - NOT EXISTS (SELECT 1 FROM current WHERE entity = old.entity AND path = old.path)
    WHERE id = old.path;
END;

-- The last key of tasks from snapshot hooks, so that a slice that is applied again adds none, and from
-- periodic hooks, so that keys grow though the clock may not.
CREATE TABLE outbox_key (
    partition INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    source INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;

-- name: format_2
-- The links that a run works with, in pieces, and whose pieces count.
CREATE TABLE graph (
    run INTEGER PRIMARY KEY,
    worker INTEGER NOT NULL
) STRICT;

CREATE TABLE graph_part (
    run INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    part INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, worker, part)
) STRICT;

-- Jobs that one worker does at a time, and until when (µs) it has them.
CREATE TABLE job (
    name TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where each group of periodic hooks is in each partition, as in `UpdateProgress`; `period` in microseconds.
CREATE TABLE update_progress (
    kind TEXT NOT NULL,
    etype INTEGER NOT NULL,
    period INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    batches INTEGER NOT NULL,
    target INTEGER NOT NULL,
    done INTEGER NOT NULL,
    after INTEGER NOT NULL,
    open INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (kind, etype, period, partition)
) STRICT, WITHOUT ROWID;

-- What came of the cycles of periodic hooks, as in `UpdateCycle`.
CREATE TABLE update_cycle (
    kind TEXT NOT NULL,
    etype INTEGER NOT NULL,
    period INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    batches INTEGER NOT NULL,
    visited INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    PRIMARY KEY (kind, etype, period, worker, begun)
) STRICT, WITHOUT ROWID;
CREATE INDEX update_cycle_by_time ON update_cycle (begun);

-- What hooks did since the state was made, as in `HookSums`.
CREATE TABLE hook_sum (
    module TEXT NOT NULL,
    hook TEXT NOT NULL,
    family TEXT NOT NULL,
    context TEXT NOT NULL,
    executions INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    created_tasks INTEGER NOT NULL,
    allowed INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    PRIMARY KEY (module, hook, family, context)
) STRICT, WITHOUT ROWID;

-- Who sent so many data-points; `t2` is null as long as none of them had a validity.
CREATE TABLE source (
    name TEXT PRIMARY KEY,
    points INTEGER NOT NULL,
    t2 INTEGER
) STRICT, WITHOUT ROWID;

-- Everything that was ever counted, as in `Totals`. Names of sources are not made keys: those end at a NUL.
CREATE VIEW total (totals) AS SELECT json_object(
    'counters', json((SELECT json_group_object(name, value) FROM counter)),
    'sources', json((SELECT json_group_array(json_array(name, points)) FROM source)),
    'hooks', json((
        SELECT json_group_array(json_array(
            module, hook, family, context, executions, failures, duration_ns, created_tasks, allowed, denied
        )) FROM hook_sum
    ))
);

-- The latest interval of `span` µs in which something happened: the totals at the begin of the interval
-- before it and at its own. So events cost nothing when they happen.
CREATE TABLE interval (
    span INTEGER PRIMARY KEY,
    begun INTEGER NOT NULL,
    before TEXT NOT NULL,
    totals TEXT NOT NULL
) STRICT;

-- What the holder of a lease says of itself, as JSON.
CREATE TABLE worker_report (
    epoch INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    numbers TEXT NOT NULL
) STRICT;

-- Sizes of attributes as last measured, as in `SizeReport`; `attributes` is JSON.
CREATE TABLE attribute_size (
    etype TEXT PRIMARY KEY,
    calculated INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    attributes TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The model that the state was last run with (`now`); data that is to be removed before the next one
-- (`removal`) and how far that is (`mark`). JSON.
CREATE TABLE model (
    name TEXT PRIMARY KEY,
    content TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Up to where the log has values (`v` encoded; empty: all) of an attribute (empty: all of the type) that a
-- former model gave a meaning.
CREATE TABLE outdated (
    etype TEXT NOT NULL,
    attr TEXT NOT NULL,
    v BLOB NOT NULL,
    lane INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (etype, attr, v, lane)
) STRICT, WITHOUT ROWID;

-- How far messages that take long are; `shown` and `mark` are JSON.
CREATE TABLE control_progress (
    message INTEGER PRIMARY KEY,
    shown TEXT NOT NULL,
    mark TEXT NOT NULL
) STRICT;

-- Entities whose rows before a run are not needed from that run on, because they have one of it.
CREATE TABLE superseded (
    partition INTEGER NOT NULL,
    run INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    PRIMARY KEY (partition, run, entity)
) STRICT, WITHOUT ROWID;
INSERT INTO superseded
SELECT entity >> 40, run, entity FROM snapshot
WHERE EXISTS (SELECT 1 FROM snapshot AS earlier WHERE earlier.entity = snapshot.entity AND earlier.run < snapshot.run);

CREATE INDEX missing_by_run ON missing (entity >> 40, run);

-- The time of the last run with a snapshot of an entity that was missing in a run: others may be removed.
CREATE TABLE last_seen (
    entity INTEGER PRIMARY KEY,
    time INTEGER NOT NULL
) STRICT;

-- When to look at the tokens of an entity: not after the first of them is over. 2^62: not before there is
-- another.
CREATE TABLE lifetime (
    entity INTEGER PRIMARY KEY,
    look INTEGER NOT NULL
) STRICT;
CREATE INDEX lifetime_by_look ON lifetime (entity >> 40, look);
INSERT INTO lifetime
SELECT ttl.entity, min(ttl.until) FROM ttl JOIN entity ON entity.key = ttl.entity GROUP BY ttl.entity;

-- Weak entities that nothing referred to at the collection `since`, and how far the log went then.
CREATE TABLE unreferenced (
    entity INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    main INTEGER NOT NULL,
    derived INTEGER NOT NULL
) STRICT;

-- Deleted entities to which others may still have links, as in `Tombstone`. Phase 0: those who have are told
-- so, as far as (attr, source). Phase 1: all were told. Phase 2: so it stands in the derived lane, up to
-- `told`.
CREATE TABLE tombstone (
    id INTEGER PRIMARY KEY,
    etype INTEGER NOT NULL,
    eid TEXT NOT NULL,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL,
    main INTEGER NOT NULL,
    derived INTEGER NOT NULL,
    phase INTEGER NOT NULL DEFAULT 0,
    attr INTEGER NOT NULL DEFAULT 0,
    source INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0,
    UNIQUE (etype, eid)
) STRICT;
CREATE INDEX tombstone_by_phase ON tombstone (phase, id);

-- What workers did in collections, as in `Collection`.
CREATE TABLE collection (
    worker INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    workers INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    phase TEXT NOT NULL,
    after INTEGER NOT NULL,
    looked INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    unreferenced INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (worker, begun)
) STRICT, WITHOUT ROWID;
CREATE INDEX collection_by_time ON collection (begun);

-- Packed history. `tag` stands for the value, below 0 for timeseries; rows with the same one differ in
-- `part`. `points` is the number of data-points in `segments`. No segment with a part of them ends before
-- `oldest`, as far as was known when it was written, so it need not be looked for older history before that.
CREATE TABLE packed (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    part INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    points INTEGER NOT NULL,
    v BLOB NOT NULL,
    segments BLOB NOT NULL,
    PRIMARY KEY (entity, attr, tag, part)
) STRICT, WITHOUT ROWID;
-- By steps of 72 minutes, so that what is packed together lies together here, too.
CREATE INDEX packed_by_age ON packed (attr, oldest >> 32, entity, tag, part, oldest);

-- History as it comes in: `fresh` says whose it is, `incoming` what it says. `key` is the place in the log. A
-- data-point is there as long as it is in both; when it is packed it goes from `incoming` in its order,
-- later.
CREATE TABLE incoming (
    key INTEGER PRIMARY KEY,
    t1 INTEGER NOT NULL,
    t2 INTEGER NOT NULL,
    c INTEGER,
    v BLOB NOT NULL
) STRICT;
INSERT INTO incoming SELECT key, t1, t2, c, v FROM fresh ORDER BY key;

ALTER TABLE fresh RENAME TO fresh_before;
CREATE TABLE fresh (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (entity, attr, key)
) STRICT, WITHOUT ROWID;
INSERT INTO fresh SELECT entity, attr, key FROM fresh_before ORDER BY entity, attr, key;
DROP TABLE fresh_before;

-- How far packing is in a partition: up to `key` of `fresh` it is done. Up to `begun` it is done or under
-- way, so rows of the entities up to `last_entity` that come again with such keys are in `packed` already.
-- `late` is the smallest such key of others that came since the pass began.
CREATE TABLE packed_until (
    lane INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    key INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    last_entity INTEGER NOT NULL,
    late INTEGER,
    PRIMARY KEY (lane, partition)
) STRICT, WITHOUT ROWID;

-- What workers did in passes of retention, as in `RetentionPass`.
CREATE TABLE retention_pass (
    worker INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    done INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    points INTEGER NOT NULL,
    PRIMARY KEY (worker, begun)
) STRICT, WITHOUT ROWID;
CREATE INDEX retention_pass_by_time ON retention_pass (begun);

-- name: format_3
-- Tokens of clients of the API, as in `Token`. Those that are revoked stay: that there was a token is not
-- forgotten.
CREATE TABLE token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT;
CREATE UNIQUE INDEX token_by_name ON token (name) WHERE revoked IS NULL;
-- When (µs) data-points of a source were last processed; null for those that have sent nothing since the
-- update.
ALTER TABLE source ADD COLUMN seen INTEGER;

-- name: format_4
-- Orders of log entries stand beside what the clock said; until now the append time was one.
CREATE TABLE plain_4 (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    entry_order INTEGER NOT NULL,
    written INTEGER NOT NULL,
    v BLOB NOT NULL,
    PRIMARY KEY (entity, attr)
) STRICT, WITHOUT ROWID;
INSERT INTO plain_4 SELECT entity, attr, written, written, v FROM plain ORDER BY entity, attr;
DROP TABLE plain;
ALTER TABLE plain_4 RENAME TO plain;
ALTER TABLE link RENAME COLUMN written TO entry_order;
ALTER TABLE outbox RENAME COLUMN after_us TO after_order;
ALTER TABLE tombstone ADD COLUMN entry_order INTEGER NOT NULL DEFAULT 0;
UPDATE tombstone SET entry_order = at;
-- The highest order of an entry that was applied.
ALTER TABLE position ADD COLUMN entry_order INTEGER NOT NULL DEFAULT 0;
UPDATE position SET entry_order = max(
    coalesce((SELECT max(written) FROM plain), 0),
    coalesce((SELECT max(entry_order) FROM link), 0),
    coalesce((SELECT max(at) FROM tombstone), 0));

-- The last number (`at`) of a commit in `link_change`; those from before were times.
INSERT INTO number SELECT 'link_changes', max(
    coalesce((SELECT max(at) FROM link_change), 0),
    coalesce((SELECT max(offset) FROM cut WHERE lane = 8), 0));
INSERT INTO cut SELECT partition, run, 10, offset FROM cut WHERE lane = 8;

-- Runs are in the order of their ids: a clock that was set back gives the same times again.
CREATE TABLE run_4 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    phase TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    workers INTEGER NOT NULL,
    started INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
INSERT INTO run_4 SELECT * FROM run ORDER BY id;
INSERT INTO sqlite_sequence SELECT 'run_4', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'run_4');
UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name IN ('run', 'run_4'))
WHERE name = 'run_4';
DROP TABLE run;
ALTER TABLE run_4 RENAME TO run;
CREATE INDEX run_open ON run (id) WHERE phase <> 'closed';
CREATE INDEX run_by_time ON run (time);

-- name: format_5
-- The scan over all that is packed of an attribute of an entity, at the moment `at`, as in `RecentRow`. Null: what
-- is packed has to be read, and the scan is to be made, not before `at`. From `told_at` until before `told_until` it tells
-- `told`, if there is nothing that is not packed.
CREATE TABLE recent (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    at INTEGER NOT NULL,
    scan TEXT,
    told_at INTEGER,
    told_until INTEGER,
    told TEXT,
    PRIMARY KEY (entity, attr)
) STRICT, WITHOUT ROWID;
CREATE INDEX recent_to_make ON recent (entity, at) WHERE scan IS NULL;
INSERT INTO recent SELECT DISTINCT entity, attr, 0, NULL, NULL, NULL, NULL FROM packed WHERE tag >= 0 ORDER BY entity, attr;

-- The same at earlier moments, for readers of the past.
CREATE TABLE former_scan (
    entity INTEGER NOT NULL,
    attr INTEGER NOT NULL,
    at INTEGER NOT NULL,
    scan TEXT NOT NULL,
    PRIMARY KEY (entity, attr, at)
) STRICT, WITHOUT ROWID;

-- No segment of a row begins before `first` or ends after `last`. `last` is null in the last row of each tag, to which
-- more may be added; so is `first` if retention has not left the row: there `oldest` says the same of observations. Where
-- it has, `oldest` says when to look at the row again.
ALTER TABLE packed ADD COLUMN first INTEGER;
ALTER TABLE packed ADD COLUMN last INTEGER;
UPDATE packed SET first = first_start(segments), last = last_end(segments)
WHERE tag < 0 OR EXISTS (
    SELECT 1 FROM packed AS later
    WHERE later.entity = packed.entity AND later.attr = packed.attr AND later.tag = packed.tag AND later.part > packed.part);
CREATE INDEX packed_by_time ON packed (entity, attr, last, first) WHERE last IS NOT NULL;
UPDATE packed SET oldest = first_start(segments) WHERE tag >= 0 AND oldest > first_start(segments);
CREATE INDEX packed_by_start ON packed (entity, attr, first) WHERE first IS NOT NULL;

-- How far packing is in a partition: up to `key` of `fresh` it is done, up to `begun` it is done or under way.
-- No entry is applied twice, so nothing comes up to there any more.
ALTER TABLE packed_until DROP COLUMN last_entity;
ALTER TABLE packed_until DROP COLUMN late;

-- name: set_partitions
-- Fix the number of partitions of a new state.
INSERT INTO number VALUES ('partitions', ?);

-- name: add_position
-- One lane of one partition of a new state; nothing has been read.
INSERT INTO position (lane, partition, offset) VALUES (?, ?, 0);

-- name: reached
-- What partitions have reached in each lane.
SELECT lane, min(offset), max(offset) FROM position GROUP BY lane;

-- name: partitions
-- The number of partitions the state was made with.
SELECT value FROM number WHERE name = 'partitions';
