-- name: count_dropped
-- There was no room for more.
INSERT INTO counter_part (name, value) VALUES ('dead_letters_dropped', ?)
ON CONFLICT (name, writer) DO UPDATE SET value = counter_part.value + excluded.value;

-- name: dead_letter_count
-- How many dead letters are kept.
SELECT coalesce(sum(letters), 0)::bigint FROM dead_letter_count;
