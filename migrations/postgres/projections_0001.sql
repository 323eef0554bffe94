-- How far each read model has got. The tables of the read models are not made here: each is made from
-- its own description, and can be thrown away and built again from the log.
CREATE TABLE projection_cursors (
    projection text   NOT NULL,
    version    bigint NOT NULL,
    build      text   NOT NULL CHECK (build IN ('live', 'rebuild')),
    generation bigint NOT NULL, -- another one is another set of tables, whatever their names
    position   bigint NOT NULL,
    tables     text   NOT NULL, -- JSON: the names of its tables, so that a later version can drop them
    PRIMARY KEY (projection, version, build)
);

-- One row: the log that the read models were built from.
CREATE TABLE projection_source (
    singleton bigint PRIMARY KEY CHECK (singleton = 1),
    log_id    text NOT NULL
);
