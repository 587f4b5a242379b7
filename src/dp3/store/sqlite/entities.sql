-- name: profiles
-- All about some entities (a JSON list): their keys, and a line for each. The whole page is read in one step. Unless
-- it is the whole, packed rows are only those of which there is no scan; the scans come last, or, where nothing is to be
-- added, what they tell at a moment.
SELECT json_group_array(entity.key), group_concat(
    '[' || entity.key || ',' || entity.created
    || ',' || (SELECT json_group_array(json_array(attr, entry_order, written, hex(v))) FROM plain WHERE entity = wanted.value)
    || ',' || (
        SELECT '[' || coalesce(group_concat(observed), '') || ']'
        FROM (
            SELECT '[' || attr || ',' || json_group_array(json_array(t1, t2, c, hex(v), 1)) || ']' AS observed
            FROM fresh CROSS JOIN incoming USING (key)
            WHERE entity = wanted.value AND c IS NOT NULL GROUP BY attr))
    || ',' || CASE WHEN :whole THEN
        (SELECT json_group_array(json_array(attr, t1, t2, hex(v)))
            FROM fresh CROSS JOIN incoming USING (key) WHERE entity = wanted.value AND c IS NULL)
        || ',' || (SELECT json_group_object(name, until) FROM ttl WHERE entity = wanted.value)
        ELSE '[],{}' END
    || ',' || CASE WHEN :whole THEN
        (SELECT json_group_array(json_array(attr, hex(v), hex(segments))) FROM packed WHERE entity = wanted.value)
        || ',null,[]'
        ELSE (
            SELECT json_group_array(json_array(packed.attr, hex(v), hex(segments)))
            FROM recent INDEXED BY recent_to_make CROSS JOIN packed
                ON packed.entity = recent.entity AND packed.attr = recent.attr AND tag >= 0
            WHERE recent.entity = wanted.value AND scan IS NULL)
        || ',' || (
            SELECT '[' || coalesce(group_concat('[' || attr || ',' || at || ',' || scan || ']') FILTER (WHERE NOT told_now), '')
                || '],[' || coalesce(group_concat('[' || attr || ',' || told || ']') FILTER (WHERE told_now), '') || ']'
            FROM (
                SELECT attr, at, scan, told, coalesce(told_at <= :moment AND told_until > :moment, FALSE) AND NOT EXISTS (
                    SELECT 1 FROM fresh WHERE fresh.entity = recent.entity AND fresh.attr = recent.attr) AS told_now
                FROM recent WHERE entity = wanted.value AND scan IS NOT NULL))
        END
    || ']', char(10))
FROM {each :keys bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value;
