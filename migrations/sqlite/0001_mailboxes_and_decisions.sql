-- What triaged remembers about mail. No text of any message is kept: a subject only where
-- history_text asks for it, and a Message-ID only as a keyed hash ("identity").
-- Moments are Unix milliseconds, UTC.

CREATE TABLE identity_key (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key      BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;

CREATE TABLE account (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    first_start INTEGER NOT NULL
) STRICT;

CREATE TABLE mailbox (
    id           INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL REFERENCES account (id),
    name         TEXT NOT NULL,
    uid_validity INTEGER NOT NULL,
    next_uid     INTEGER NOT NULL,          -- the first UID that is not settled
    not_before   INTEGER,                   -- mail received earlier is passed over
    UNIQUE (account, name)
) STRICT;

CREATE TABLE message (
    id           INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL REFERENCES account (id),
    mailbox      INTEGER NOT NULL REFERENCES mailbox (id),
    uid_validity INTEGER NOT NULL,
    uid          INTEGER NOT NULL,
    identity     BLOB,
    subject      TEXT,
    decided_at   INTEGER NOT NULL,
    action       TEXT NOT NULL,             -- label, shadow, skip
    outcome      TEXT NOT NULL,             -- see Outcome
    model        TEXT,
    defects      TEXT NOT NULL DEFAULT '',  -- names, separated by spaces
    UNIQUE (mailbox, uid_validity, uid)
) STRICT;
CREATE INDEX message_identity ON message (account, identity) WHERE identity IS NOT NULL;
CREATE INDEX message_decided_at ON message (decided_at);

CREATE TABLE prediction (
    message    INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,            -- of the head in the manifest
    head       TEXT NOT NULL,
    label      TEXT NOT NULL,
    confidence REAL NOT NULL,
    abstained  INTEGER NOT NULL,
    PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE effect (
    id              INTEGER PRIMARY KEY,
    message         INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    kind            TEXT NOT NULL,          -- add-keyword
    keyword         TEXT NOT NULL,
    state           TEXT NOT NULL,          -- pending, shadow, done, gone, read-only, not-permitted, rejected
    idempotency_key TEXT NOT NULL UNIQUE,
    settled_at      INTEGER
) STRICT;
CREATE INDEX effect_pending ON effect (message) WHERE state = 'pending';
CREATE INDEX effect_message ON effect (message);
