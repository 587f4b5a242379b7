-- name: segment
-- A segment that is to be one of former days.
SELECT first, base_order, base_total, created FROM segment;

-- name: age_segment
-- It was made earlier.
UPDATE segment SET created = ?, checksum = ?;

-- name: entries
-- Its entries.
SELECT offset, entry_order, append_time, latest, total, body FROM entry;

-- name: age_entry
-- An entry was appended earlier.
UPDATE entry SET append_time = ?, latest = ?, checksum = ? WHERE offset = ?;
