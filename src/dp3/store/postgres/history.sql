-- name: fresh_page
-- The next fresh rows of a partition, as JSON: [entity, attr, key, t1, t2, c, v]; null but for the place if
-- they are newer than what is to be packed, v also if it is large.
SELECT coalesce(json_agg(json_build_array(
    entity, attr, key, t1, t2, c,
    CASE WHEN length(v) <= :large THEN upper(encode(v, 'hex')) END) ORDER BY entity, attr, key), '[]')
FROM (
    SELECT entity, attr, fresh.key AS key, t1, t2, c, v
    FROM fresh LEFT JOIN incoming
        ON incoming.key = fresh.key AND fresh.key <= CASE WHEN fresh.key >> 62 > 0 THEN CAST(:derived AS BIGINT) ELSE CAST(:main AS BIGINT) END
    WHERE (entity, attr, fresh.key) > (:entity, :attr, :key) AND entity < :end
    ORDER BY entity, attr, fresh.key LIMIT :limit);
