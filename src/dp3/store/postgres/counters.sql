-- name: count
-- Add to a counter.
INSERT INTO counter_part (name, value) VALUES {rows text, bigint}
ON CONFLICT (name, writer) DO UPDATE SET value = counter_part.value + excluded.value;

-- name: add_hook_sums
-- Add what a hook did.
INSERT INTO hook_part (
    module, hook, family, context, executions, failures, duration_ns, created_tasks, allowed, denied
) VALUES {rows text, text, text, text, bigint, bigint, bigint, bigint, bigint, bigint}
ON CONFLICT (module, hook, family, context, writer) DO UPDATE SET
    executions = hook_part.executions + excluded.executions,
    failures = hook_part.failures + excluded.failures,
    duration_ns = hook_part.duration_ns + excluded.duration_ns,
    created_tasks = hook_part.created_tasks + excluded.created_tasks,
    allowed = hook_part.allowed + excluded.allowed,
    denied = hook_part.denied + excluded.denied;

-- name: add_source
-- Data-points of a source, the latest end of their validity, and now.
INSERT INTO source_part (name, points, t2, seen) VALUES {rows text, bigint, bigint, bigint}
ON CONFLICT (name, writer) DO UPDATE SET
    points = source_part.points + excluded.points, seen = excluded.seen, t2 = greatest(source_part.t2, excluded.t2);

-- name: interval
-- As the common one; names in the totals are told as JSON tells them.
SELECT interval.begun, interval.before::json, interval.totals::json, total.totals::json
FROM interval CROSS JOIN total WHERE interval.span = ?;
