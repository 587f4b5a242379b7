-- name: age_segment
-- A segment was made earlier.
UPDATE segment SET created = created - :us, base_time = max(base_time - :us, 0);

-- name: age_entries
-- Its entries were appended earlier.
UPDATE entry SET append_time = append_time - :us;
