-- name: history_page
-- Some of the history of attributes (entity, attribute, key after which to begin), one after the other, each
-- in the order of the log.
SELECT page.key, page.entity, page.attr, t1, t2, c, v
FROM {each ?1 bigint, bigint, bigint} AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM fresh
    WHERE entity = wanted.value ->> 0 AND attr = wanted.value ->> 1 AND key > wanted.value ->> 2
    ORDER BY key LIMIT ?2) AS page
JOIN incoming ON incoming.key = page.key
ORDER BY wanted.nth, page.key LIMIT ?2;

-- name: packed_page
-- Some of the packed history of attributes (entity, attribute, tag and part after which to begin), in the same
-- way.
SELECT page.entity, page.attr, tag, part, oldest, points, v, segments
FROM {each ?1 bigint, bigint, bigint, bigint} AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM packed
    WHERE entity = wanted.value ->> 0 AND attr = wanted.value ->> 1
        AND (tag, part) > (wanted.value ->> 2, wanted.value ->> 3)
    ORDER BY tag, part LIMIT ?2) AS page
ORDER BY wanted.nth, tag, part LIMIT ?2;

-- name: referrers
-- Who has links to deleted entities that held then (id of the tombstone, type, eid, attribute and source after
-- which to begin in the index, time of the deletion).
SELECT wanted.value ->> 0, page.attr, page.source, etype.name, entity.eid, attr.name
FROM {each ?1 bigint, bigint, text, bigint, bigint, bigint} AS wanted
JOIN node ON node.etype = wanted.value ->> 1 AND node.eid = wanted.value ->> 2
CROSS JOIN LATERAL (
    SELECT link.attr, link.source, link.entity FROM link JOIN entity ON entity.key = link.entity
    WHERE link.target = node.id AND (link.attr, link.source) > (wanted.value ->> 3, wanted.value ->> 4)
        AND link.until > wanted.value ->> 5
    ORDER BY link.attr, link.source LIMIT ?2) AS page
JOIN entity ON entity.key = page.entity
JOIN etype ON etype.id = entity.etype
JOIN attr ON attr.id = page.attr
ORDER BY wanted.nth, page.attr, page.source LIMIT ?2;
