-- Every event there is. The first seven columns are those of sqlite-es, which can read and write this
-- table: it names its columns, and a trigger fills the others for writers that know only the seven.
-- The composite key is the primary key, because sqlite-es tells a conflict by that violation alone.
CREATE TABLE events (
    aggregate_type text    NOT NULL,
    aggregate_id   text    NOT NULL,
    sequence       integer NOT NULL CHECK (sequence >= 1),
    event_type     text    NOT NULL,
    event_version  text    NOT NULL,
    payload        text    NOT NULL,
    metadata       text    NOT NULL,
    position       integer CHECK (position >= 1), -- 1..N without gaps, in commit order
    event_id       text,                          -- a UUID
    recorded_at    integer,                       -- microseconds since 1970 UTC, never stepping back
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
) STRICT;

CREATE UNIQUE INDEX events_position ON events (position);

-- One row: where the log ends. Its id tells views and clients whether they speak of the same log.
CREATE TABLE event_log_head (
    singleton   integer PRIMARY KEY CHECK (singleton = 1),
    log_id      text    NOT NULL,
    position    integer NOT NULL,
    recorded_at integer NOT NULL
) STRICT;

-- The version 4 UUID is spelt by hand, because SQLite makes none; milliseconds are all its clock has.
CREATE TRIGGER events_place AFTER INSERT ON events WHEN NEW.position IS NULL
BEGIN
    UPDATE event_log_head
       SET position = position + 1,
           recorded_at = max(recorded_at,
               CAST(strftime('%s', 'now') AS integer) * 1000000
               + CAST(substr(strftime('%f', 'now'), 4) AS integer) * 1000);
    UPDATE events
       SET position = (SELECT position FROM event_log_head),
           recorded_at = (SELECT recorded_at FROM event_log_head),
           event_id = lower(hex(randomblob(4)) || '-' || hex(randomblob(2))
               || '-4' || substr(hex(randomblob(2)), 2)
               || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))
     WHERE rowid = NEW.rowid;
END;

-- States of aggregates, so that a long stream need not be read from its beginning. Always a cache: a
-- row whose fingerprint is not that of the running code is ignored.
CREATE TABLE aggregate_states (
    aggregate_type text    NOT NULL,
    aggregate_id   text    NOT NULL,
    version        integer NOT NULL,
    position       integer NOT NULL,
    fingerprint    text    NOT NULL,
    state          text    NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
) STRICT;
