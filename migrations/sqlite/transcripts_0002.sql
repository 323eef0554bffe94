-- When the last line was written, in microseconds, so that old transcripts can be found. What was
-- stored before this column counts from now on.

ALTER TABLE transcripts ADD COLUMN last_at integer NOT NULL DEFAULT 0;
UPDATE transcripts SET last_at = CAST(strftime('%s', 'now') AS integer) * 1000000;
CREATE INDEX transcripts_by_age ON transcripts (last_at, execution_id);
