-- name: count
-- Add to a counter.
INSERT INTO counter (name, value) VALUES {rows text, bigint}
ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value;

-- name: add_hook_sums
-- Add what a hook did.
INSERT INTO hook_sum (
    module, hook, family, context, executions, failures, duration_ns, created_tasks, allowed, denied
) VALUES {rows text, text, text, text, bigint, bigint, bigint, bigint, bigint, bigint}
ON CONFLICT (module, hook, family, context) DO UPDATE SET
    executions = hook_sum.executions + excluded.executions,
    failures = hook_sum.failures + excluded.failures,
    duration_ns = hook_sum.duration_ns + excluded.duration_ns,
    created_tasks = hook_sum.created_tasks + excluded.created_tasks,
    allowed = hook_sum.allowed + excluded.allowed,
    denied = hook_sum.denied + excluded.denied;

-- name: known_sources
-- Who has sent so far.
SELECT name FROM source;

-- name: add_source
-- Data-points of a source, the latest end of their validity, and now.
INSERT INTO source (name, points, t2, seen) VALUES {rows text, bigint, bigint, bigint}
ON CONFLICT (name) DO UPDATE SET
    points = source.points + excluded.points,
    seen = excluded.seen,
    t2 = CASE WHEN excluded.t2 > coalesce(source.t2, excluded.t2 - 1) THEN excluded.t2 ELSE source.t2 END;

-- name: intervals
-- Which intervals have begun.
SELECT span, begun FROM interval;

-- name: begin_interval
-- Remember the totals at the begin of an interval, and at the begin of the one before, which are the same if
-- nothing happened in that. After the clock was set back a little, events belong to the interval that is
-- known.
INSERT INTO interval (span, begun, before, totals) SELECT ?, ?, totals, totals FROM total WHERE true
ON CONFLICT (span) DO UPDATE SET
    begun = excluded.begun,
    before = iif(excluded.begun = interval.begun + interval.span, interval.totals, excluded.totals),
    totals = excluded.totals
WHERE excluded.begun > interval.begun OR excluded.begun < interval.begun - interval.span;

-- name: hook_sums
-- What all hooks did.
SELECT module, hook, family, context, executions, failures, duration_ns, created_tasks, allowed, denied
FROM hook_sum ORDER BY module, hook, family, context;

-- name: interval
-- The latest interval of a length, with the totals at the begin of the one before, at its begin, and now.
SELECT interval.begun, interval.before, interval.totals, total.totals
FROM interval CROSS JOIN total WHERE interval.span = ?;

-- name: sources
-- Sources with the latest end of validity, if any of their data-points had one.
SELECT name, t2 FROM source WHERE t2 IS NOT NULL ORDER BY name;

-- name: last_seen
-- When the sources with the most data-points were last heard of.
SELECT name, coalesce(seen, t2) FROM source WHERE coalesce(seen, t2) IS NOT NULL
ORDER BY points DESC, name LIMIT ?;

-- name: counters
-- All event counters.
SELECT name, value FROM counter;
