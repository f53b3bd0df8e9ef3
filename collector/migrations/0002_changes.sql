-- What people and pipelines say that they changed: a deployment, a switch, a migration.
CREATE TABLE changes (
    at_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    what TEXT NOT NULL,
    by_whom TEXT,
    link TEXT,
    PRIMARY KEY (at_ms, node, what)
);
