-- What was, for whoever looks back.

-- All that is known of a change beside its level, as JSON; empty in rows of earlier versions.
ALTER TABLE level_changes ADD COLUMN detail TEXT NOT NULL DEFAULT '';
-- 1 for a level that is only said again, so that no reader has to look back further than some hours.
ALTER TABLE level_changes ADD COLUMN again BIGINT NOT NULL DEFAULT 0;

-- When the monitor was watching. What lies between two of these nobody saw.
CREATE TABLE watched (
    start_ms BIGINT NOT NULL PRIMARY KEY,
    end_ms BIGINT NOT NULL
);

-- Names of nodes and of signals, each kept once.
CREATE TABLE series_names (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Signals of a node: one row for each look (tier 0), minute (1), ten minutes (2) or hour (3), whose start is `at_ms`.
CREATE TABLE series (
    tier BIGINT NOT NULL,
    node BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX series_by_node ON series (node, tier, at_ms);
CREATE INDEX series_by_age ON series (tier, at_ms);

-- How far each tier has been rolled up.
CREATE TABLE series_marks (
    tier BIGINT NOT NULL PRIMARY KEY,
    upto_ms BIGINT NOT NULL
);
