-- One row: where the log ends. Its id tells views and clients whether they speak of the same log.
CREATE TABLE event_log_head (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    log_id      text    NOT NULL,
    position    bigint  NOT NULL,
    recorded_at bigint  NOT NULL
);

CREATE FUNCTION event_log_now_micros() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- Takes the next position for one row. The head stays locked until the writer commits, so nobody
-- can commit a later position before.
CREATE FUNCTION event_log_next_position() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    next_position bigint;
BEGIN
    UPDATE event_log_head
       SET position = position + 1, recorded_at = greatest(recorded_at, event_log_now_micros())
    RETURNING position INTO STRICT next_position;
    PERFORM pg_notify('event_log', '');
    RETURN next_position;
END
$$;

-- The time of the position taken last: it never steps back.
CREATE FUNCTION event_log_last_recorded_at() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT recorded_at FROM event_log_head);
END
$$;

-- Every event there is. The first seven columns are those of postgres-es, which can read and write
-- this table: it names its columns, and the defaults place what a writer of only the seven inserts.
CREATE TABLE events (
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    sequence       bigint NOT NULL CHECK (sequence >= 1),
    event_type     text   NOT NULL,
    event_version  text   NOT NULL,
    payload        json   NOT NULL,
    metadata       json   NOT NULL,
    position       bigint NOT NULL DEFAULT event_log_next_position() CHECK (position >= 1),
    event_id       text   NOT NULL DEFAULT gen_random_uuid()::text,
    recorded_at    bigint NOT NULL DEFAULT event_log_last_recorded_at(),
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
COMMENT ON COLUMN events.position IS '1..N without gaps, in commit order';
COMMENT ON COLUMN events.recorded_at IS 'microseconds since 1970 UTC; never steps back';

CREATE UNIQUE INDEX events_position ON events (position);

-- States of aggregates, so that a long stream need not be read from its beginning. Always a cache: a
-- row whose fingerprint is not that of the running code is ignored.
CREATE TABLE aggregate_states (
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    fingerprint    text   NOT NULL,
    state          text   NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);

-- Appends a batch in one round trip. An append is the rows and checks of one number; it is written
-- if every stream it checks is at the version given, else it is answered in `losers`. Winners take
-- the positions after `base`, in the order of their rows.
--
-- The head is moved by a statement of its own, so that the next ones see what the batch before has
-- committed; it is moved as if nobody lost, and moved back for the rows of those who did. The version
-- of a stream is one probe of the primary key; the planner is kept from reading the table instead, as
-- the estimates of a long-lived plan would have it, and from planning anew for every batch, which
-- would take longer than the rest.
CREATE FUNCTION event_log_append(
    check_append      integer[],
    check_type        text[],
    check_id          text[],
    check_version     bigint[],
    row_append        integer[],
    row_type          text[],
    row_id            text[],
    row_sequence      bigint[],
    row_event_type    text[],
    row_event_version text[],
    row_payload       text[],
    row_metadata      text[],
    row_event_id      text[],
    sender            text,
    OUT base   bigint,
    OUT stamp  bigint,
    OUT losers integer[]
) LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    asked   bigint := cardinality(row_append);
    written bigint;
BEGIN
    UPDATE event_log_head
       SET position = position + asked,
           recorded_at = greatest(recorded_at, event_log_now_micros())
    RETURNING position - asked, recorded_at INTO STRICT base, stamp;

    SELECT array_agg(DISTINCT c.append) INTO losers
      FROM unnest(check_append, check_type, check_id, check_version) AS c (append, type, id, version)
     WHERE c.version <> coalesce((
               SELECT e.sequence FROM events AS e
                WHERE e.aggregate_type = c.type AND e.aggregate_id = c.id
                ORDER BY e.sequence DESC LIMIT 1
           ), 0);

    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                        metadata, position, event_id, recorded_at)
    SELECT r.type, r.id, r.sequence, r.event_type, r.event_version, r.payload::json,
           r.metadata::json, base + row_number() OVER (ORDER BY r.ordinal), r.event_id, stamp
      FROM unnest(row_append, row_type, row_id, row_sequence, row_event_type, row_event_version,
                  row_payload, row_metadata, row_event_id)
           WITH ORDINALITY AS r (append, type, id, sequence, event_type, event_version, payload,
                                 metadata, event_id, ordinal)
     WHERE losers IS NULL OR r.append <> ALL (losers);

    GET DIAGNOSTICS written = ROW_COUNT;

    IF losers IS NOT NULL THEN
        UPDATE event_log_head SET position = base + written;
    END IF;
    IF written > 0 THEN
        PERFORM pg_notify('event_log', sender);
    END IF;
END
$$;
