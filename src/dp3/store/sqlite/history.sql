-- name: fresh_page
-- The next fresh rows of a partition, as one text: [entity, attr, key, t1, t2, c, v]; null but for the place if
-- they are newer than what is to be packed, v also if it is large.
SELECT '[' || coalesce(group_concat(row), '') || ']' FROM (
    SELECT '[' || entity || ',' || attr || ',' || key || coalesce(
            ',' || t1 || ',' || t2 || ',' || coalesce(c, 'null') || ',' || iif(length(v) > :large, 'null', '"' || hex(v) || '"'),
            ',null,null,null,null')
        || ']' AS row
    FROM (
        SELECT entity, attr, fresh.key AS key, t1, t2, c, v
        FROM fresh LEFT JOIN incoming
            ON incoming.key = fresh.key AND fresh.key <= iif(fresh.key >> 62 > 0, CAST(:derived AS BIGINT), CAST(:main AS BIGINT))
        WHERE (entity, attr, fresh.key) > (:entity, :attr, :key) AND entity < :end
        ORDER BY entity, attr, fresh.key LIMIT :limit));
