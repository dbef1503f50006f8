-- Taking back: which rule asked for an effect, what was asked to be taken back, and how far that is.

-- The rule of the configuration; null for a label's own keyword, and for effects from before.
ALTER TABLE effect ADD COLUMN rule TEXT;
CREATE INDEX effect_rule ON effect (rule) WHERE rule IS NOT NULL;
-- The Message-ID as a keyed hash, by which a person names a message; null for what was decided before.
ALTER TABLE message ADD COLUMN message_id BLOB;
CREATE INDEX message_message_id ON message (message_id) WHERE message_id IS NOT NULL;

-- What `triaged undo` and `triaged remove-labels` asked for.
CREATE TABLE undo (
    id       INTEGER PRIMARY KEY,
    asked_at INTEGER NOT NULL,
    rule     TEXT,                            -- only what this rule did; null for all
    kind     TEXT                             -- only effects of this kind; null for all
) STRICT;

-- One message of a request, where it was when that was asked.
CREATE TABLE undo_item (
    request      INTEGER NOT NULL REFERENCES undo (id),
    message      INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    account      INTEGER NOT NULL REFERENCES account (id),
    mailbox      TEXT NOT NULL,
    uid_validity INTEGER,                     -- null where the server never said where it went
    uid          INTEGER,
    state        TEXT NOT NULL,               -- open, begun, undone, kept, gone, refused
    reason       TEXT,                        -- why it was refused
    attempts     INTEGER NOT NULL DEFAULT 0,  -- how often an error came in between
    PRIMARY KEY (request, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX undo_item_message ON undo_item (message);
-- In the order in which they are worked off.
CREATE INDEX undo_item_open ON undo_item (account, request, mailbox, uid_validity, uid)
    WHERE state IN ('open', 'begun');

-- A request to take every keyword of ours off an account.
CREATE TABLE removal (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL REFERENCES account (id),
    asked_at INTEGER NOT NULL,
    state    TEXT NOT NULL,                   -- open, done, cancelled
    listed   INTEGER NOT NULL DEFAULT 0,      -- the mailboxes are known
    keywords TEXT NOT NULL DEFAULT ''         -- that were written until then, separated by spaces
) STRICT;
CREATE UNIQUE INDEX removal_open ON removal (account) WHERE state = 'open';

-- A mailbox of such a request.
CREATE TABLE removal_mailbox (
    removal  INTEGER NOT NULL REFERENCES removal (id),
    mailbox  TEXT NOT NULL,
    removed  INTEGER NOT NULL DEFAULT 0,      -- keywords taken off messages
    state    TEXT NOT NULL,                   -- open, done, failed
    reason   TEXT,                            -- why it failed
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (removal, mailbox)
) STRICT, WITHOUT ROWID;
