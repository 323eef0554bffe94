-- Requests that are done once: what came under an idempotency key whose word is not the id of what
-- it made. Kept for a day.

CREATE TABLE idempotency_claims (
    id text PRIMARY KEY,
    fingerprint text NOT NULL,
    salt text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX idempotency_claims_by_age ON idempotency_claims (created_at);
