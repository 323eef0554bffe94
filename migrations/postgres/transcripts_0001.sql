-- The output of runs: compressed chunks of numbered lines, and how far each run's output goes.

CREATE TABLE transcripts (
    execution_id text PRIMARY KEY,
    last_seq bigint NOT NULL
);

CREATE TABLE transcript_chunks (
    execution_id text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution_id, first_seq)
);

CREATE TABLE transcript_responses (
    execution_id text PRIMARY KEY,
    body bytea NOT NULL
);
