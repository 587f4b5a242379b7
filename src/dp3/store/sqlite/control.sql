-- name: send
-- A message for a worker. Ids grow with time, also when the state was replaced by an older copy: the log takes
-- tasks that messages lead to only under ids that it has not seen yet.
INSERT INTO control (id, worker, action, args, sent)
SELECT max(?4, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'control'), 0)), ?1, ?2, ?3, ?4
RETURNING id;
