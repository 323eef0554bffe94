-- The output of runs: compressed chunks of numbered lines, and how far each run's output goes.

CREATE TABLE transcripts (
    execution_id text PRIMARY KEY,
    last_seq integer NOT NULL
) STRICT;

CREATE TABLE transcript_chunks (
    execution_id text NOT NULL,
    first_seq integer NOT NULL,
    last_seq integer NOT NULL,
    body blob NOT NULL,
    PRIMARY KEY (execution_id, first_seq)
) STRICT;

CREATE TABLE transcript_responses (
    execution_id text PRIMARY KEY,
    body blob NOT NULL
) STRICT;
