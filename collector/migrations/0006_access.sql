-- Who may read and operate. Of a token only its hash is kept.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);

-- Keys that this installation made for itself.
CREATE TABLE own_keys (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Who changed what, and who was refused.
CREATE TABLE audit (
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    peer TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at_ms);
