-- name: add_nodes
-- New nodes, with their numbers; another worker may be faster.
INSERT INTO node (etype, eid) VALUES {rows bigint, text}
ON CONFLICT (etype, eid) DO UPDATE SET eid = excluded.eid RETURNING etype, eid, id;

-- name: next_change
-- The number of a commit that changes links.
SELECT nextval('link_change_number')
FROM (SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema(), 4)) OFFSET 0) AS lock;

-- name: last_change
-- The number of the last one. All commits of lower ones are seen by who asks afterwards.
SELECT last_value FROM (SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 4)) OFFSET 0) AS lock, link_change_number;
