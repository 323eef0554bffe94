-- What events cannot rebuild and must survive: who is logged in, and with which password.

CREATE TABLE sessions (
    token_sha256 text PRIMARY KEY,
    user_id text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE passwords (
    user_id text PRIMARY KEY,
    phc text NOT NULL,
    changed_at bigint NOT NULL
);

CREATE TABLE login_failures (
    name text PRIMARY KEY,
    failures bigint NOT NULL,
    last_at bigint NOT NULL
);

CREATE TABLE key_usage (
    key_id text PRIMARY KEY,
    usage_count bigint NOT NULL,
    last_used_at bigint NOT NULL
);
