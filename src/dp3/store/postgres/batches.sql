-- name: put_plain
-- Plain values; of each attribute of an entity the one of the latest entry, of several of an entry the last.
INSERT INTO plain (entity, attr, entry_order, written, v)
SELECT DISTINCT ON (column1, column2) column1, column2, column3, column4, column5
FROM (
    SELECT *, row_number() OVER () AS nth
    FROM (VALUES {rows bigint, bigint, bigint, bigint, bytea})) AS given
ORDER BY column1, column2, column3 DESC, nth DESC
ON CONFLICT (entity, attr) DO UPDATE SET
    entry_order = excluded.entry_order, written = excluded.written, v = excluded.v
    WHERE excluded.entry_order >= plain.entry_order;
