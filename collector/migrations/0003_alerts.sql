-- What a message is about, so that it is sent together with others, handed to a fallback, and paired.
-- `batch` is the key of the digest that a row goes out in; `handed_ms` when the fallback got it as well.
ALTER TABLE outbox ADD COLUMN incident TEXT;
ALTER TABLE outbox ADD COLUMN event TEXT;
ALTER TABLE outbox ADD COLUMN batch TEXT;
ALTER TABLE outbox ADD COLUMN handed_ms BIGINT;
-- The receiver that this was meant for, when it is here as another's fallback.
ALTER TABLE outbox ADD COLUMN instead_of TEXT;
CREATE INDEX outbox_by_incident ON outbox (incident, receiver);

-- Every request to a receiver with a limit, noted before it is made: a crash forgets none.
CREATE TABLE sendings (
    receiver TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX sendings_by_receiver ON sendings (receiver, at_ms);

-- Until when nothing is sent to a receiver, because it said so.
CREATE TABLE penalties (
    receiver TEXT NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

-- Silences, and maintenance that somebody announced; those of the file are not here.
CREATE TABLE silences (
    id TEXT NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);
