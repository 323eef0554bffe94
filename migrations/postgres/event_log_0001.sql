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
    aggregate_type text   NOT NULL COLLATE "C",
    aggregate_id   text   NOT NULL COLLATE "C",
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
-- The head is locked by a statement of its own, so that the next ones see what the batch before has
-- committed. The version of a stream is one probe of the primary key: sessions that call this set
-- the planner so that it keeps one plan and never reads the table instead, which it would choose from
-- the estimates of a long-lived plan. (Set on the function, that would cost a tenth of the call.)
-- The arrays are read by subscript, which PL/pgSQL does in constant time and without copies.
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
AS $$
DECLARE
    winners integer[];
    written bigint;
BEGIN
    SELECT head.position, head.recorded_at INTO STRICT base, stamp
      FROM event_log_head AS head FOR UPDATE;
    stamp := greatest(stamp, event_log_now_micros());

    losers := (
        SELECT array_agg(DISTINCT check_append[n])
          FROM generate_subscripts(check_append, 1) AS n
         WHERE check_version[n] <> coalesce((
                   SELECT e.sequence FROM events AS e
                    WHERE e.aggregate_type = check_type[n] AND e.aggregate_id = check_id[n]
                    ORDER BY e.sequence DESC LIMIT 1
               ), 0)
    );
    winners := ARRAY(
        SELECT n FROM generate_subscripts(row_append, 1) AS n
         WHERE losers IS NULL OR row_append[n] <> ALL (losers)
         ORDER BY n
    );

    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                        metadata, position, event_id, recorded_at)
    SELECT row_type[w.n], row_id[w.n], row_sequence[w.n], row_event_type[w.n],
           row_event_version[w.n], row_payload[w.n]::json, row_metadata[w.n]::json,
           base + w.ordinal, row_event_id[w.n], stamp
      FROM unnest(winners) WITH ORDINALITY AS w (n, ordinal);
    GET DIAGNOSTICS written = ROW_COUNT;

    IF written > 0 THEN
        UPDATE event_log_head SET position = base + written, recorded_at = stamp;
        PERFORM pg_notify('event_log', sender);
    END IF;
END
$$;
