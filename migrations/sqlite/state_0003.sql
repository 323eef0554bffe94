-- Credentials of agents, encrypted. Every agent has a data key of its own, wrapped by the master key
-- of that fingerprint; without the row of its data key, what is stored of an agent is noise.

CREATE TABLE vault_master (
    id integer PRIMARY KEY CHECK (id = 1),
    fingerprint text NOT NULL,
    changed_at integer NOT NULL
) STRICT;

CREATE TABLE vault_agents (
    incarnation text PRIMARY KEY,
    key_id text NOT NULL,
    wrapped_key blob NOT NULL,
    revision integer NOT NULL,
    created_at integer NOT NULL,
    injected_version integer,
    injected_at integer,
    injected_names text,
    injection_error text
) STRICT;

CREATE TABLE vault_credentials (
    incarnation text NOT NULL,
    name text NOT NULL,
    ciphertext blob NOT NULL,
    updated_at integer NOT NULL,
    PRIMARY KEY (incarnation, name)
) STRICT;
