-- name: send
-- A message for a worker. Ids grow with time, also when the state was replaced by an older copy: the log takes
-- tasks that messages lead to only under ids that it has not seen yet.
WITH given AS (
    INSERT INTO last_id (name, id) VALUES ('control', ?4)
    ON CONFLICT (name) DO UPDATE SET id = greatest(last_id.id + 1, excluded.id) RETURNING id)
INSERT INTO control (id, worker, action, args, sent) SELECT id, ?1, ?2, ?3, ?4 FROM given RETURNING id;
