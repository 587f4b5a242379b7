-- name: profiles
-- All about some entities: their keys, and a line for each. Unless it is the whole, packed rows are only those
-- of which there is no scan; the scans come last, or, where nothing is to be added, what they tell at a moment.
SELECT coalesce(json_agg(entity.key ORDER BY entity.key), '[]'), string_agg(
    '[' || entity.key || ',' || entity.created || ',' || (
        SELECT coalesce(json_agg(json_build_array(attr, entry_order, written, upper(encode(v, 'hex')))), '[]')
        FROM plain WHERE entity = wanted.value)
    || ',' || (
        SELECT coalesce(json_agg(observed), '[]')
        FROM (
            SELECT json_build_array(
                attr, json_agg(json_build_array(t1, t2, c, upper(encode(v, 'hex')), 1) ORDER BY key)) AS observed
            FROM fresh JOIN incoming USING (key)
            WHERE entity = wanted.value AND c IS NOT NULL GROUP BY attr))
    || ',' || CASE WHEN CAST(:whole AS BOOLEAN) THEN
        (SELECT coalesce(json_agg(json_build_array(attr, t1, t2, upper(encode(v, 'hex'))) ORDER BY key), '[]')
            FROM fresh JOIN incoming USING (key) WHERE entity = wanted.value AND c IS NULL)
        || ',' || (SELECT coalesce(json_object_agg(name, until), '{}') FROM ttl WHERE entity = wanted.value)
        ELSE '[],{}' END
    || ',' || CASE WHEN CAST(:whole AS BOOLEAN) THEN
        (SELECT coalesce(json_agg(json_build_array(attr, upper(encode(v, 'hex')), upper(encode(segments, 'hex')))
            ORDER BY attr, tag, part), '[]') FROM packed WHERE entity = wanted.value)
        || ',null,[]'
        ELSE (
            SELECT coalesce(json_agg(json_build_array(
                packed.attr, upper(encode(v, 'hex')), upper(encode(segments, 'hex'))) ORDER BY packed.attr, tag, part), '[]')
            FROM recent JOIN packed ON packed.entity = recent.entity AND packed.attr = recent.attr AND tag >= 0
            WHERE recent.entity = wanted.value AND scan IS NULL)
        || ',' || (
            SELECT '[' || coalesce(string_agg('[' || attr || ',' || at || ',' || scan || ']', ',') FILTER (WHERE NOT told_now), '')
                || '],[' || coalesce(string_agg('[' || attr || ',' || told || ']', ',') FILTER (WHERE told_now), '') || ']'
            FROM (
                SELECT attr, at, scan, told, coalesce(told_at <= :moment AND told_until > :moment, FALSE) AND NOT EXISTS (
                    SELECT 1 FROM fresh WHERE fresh.entity = recent.entity AND fresh.attr = recent.attr) AS told_now
                FROM recent WHERE entity = wanted.value AND scan IS NOT NULL))
        END
    || ']', chr(10) ORDER BY entity.key)
FROM {each :keys bigint} AS wanted CROSS JOIN entity ON entity.key = wanted.value;

-- name: entity_counts
-- Number of entities by type; kept by triggers.
SELECT etype.name, coalesce(sum(entities), 0)::bigint
FROM etype LEFT JOIN entity_count ON entity_count.etype = etype.id GROUP BY etype.name;
