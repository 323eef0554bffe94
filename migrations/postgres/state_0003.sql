-- Credentials of agents, encrypted. Every agent has a data key of its own, wrapped by the master key
-- of that fingerprint; without the row of its data key, what is stored of an agent is noise.

CREATE TABLE vault_master (
    id bigint PRIMARY KEY CHECK (id = 1),
    fingerprint text NOT NULL,
    changed_at bigint NOT NULL
);

CREATE TABLE vault_agents (
    incarnation text PRIMARY KEY,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    revision bigint NOT NULL,
    created_at bigint NOT NULL,
    injected_version bigint,
    injected_at bigint,
    injected_names text,
    injection_error text
);

CREATE TABLE vault_credentials (
    incarnation text NOT NULL,
    name text NOT NULL,
    ciphertext bytea NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (incarnation, name)
);
