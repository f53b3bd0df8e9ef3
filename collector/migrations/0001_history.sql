-- One text for SQLite and PostgreSQL: TEXT and BIGINT only, times in Unix milliseconds.

-- The level of every node as it is now, so that a restart keeps every `since`.
CREATE TABLE nodes (
    name TEXT NOT NULL PRIMARY KEY,
    level TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

-- What each probe of each instance last confirmed, so that a restart needs no second confirmation.
CREATE TABLE confirmed (
    instance TEXT NOT NULL,
    probe TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (instance, probe)
);

-- Every change of level.
CREATE TABLE level_changes (
    node TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    level TEXT NOT NULL,
    words TEXT NOT NULL
);
CREATE INDEX level_changes_by_time ON level_changes (at_ms);
CREATE INDEX level_changes_by_node ON level_changes (node, at_ms);

-- Incidents, whole, with what has been told of them.
CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    opened_ms BIGINT NOT NULL,
    resolved_ms BIGINT,
    body TEXT NOT NULL
);
CREATE INDEX incidents_by_state ON incidents (state, opened_ms);

-- Messages to receivers: queue and log in one. `position` orders the messages of a receiver.
CREATE TABLE outbox (
    key TEXT NOT NULL,
    receiver TEXT NOT NULL,
    position BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    delivered_ms BIGINT,
    trouble TEXT,
    PRIMARY KEY (receiver, key)
);
CREATE INDEX outbox_by_receiver ON outbox (receiver, delivered_ms, position);
