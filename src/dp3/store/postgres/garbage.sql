-- name: remove_incoming
-- Some of what the history of entities says.
DELETE FROM incoming
WHERE key IN (
    SELECT fresh.key FROM {each :entities bigint, bigint, text} AS gone JOIN fresh ON fresh.entity = gone.value ->> 0
    ORDER BY entity, attr, key LIMIT :limit);

-- name: remove_history
-- Some history rows of entities, in the same order, so what they say has been removed.
DELETE FROM fresh
WHERE (entity, attr, key) IN (
    SELECT fresh.entity, fresh.attr, fresh.key
    FROM {each :entities bigint, bigint, text} AS gone JOIN fresh ON fresh.entity = gone.value ->> 0
    ORDER BY entity, attr, key LIMIT :limit);
