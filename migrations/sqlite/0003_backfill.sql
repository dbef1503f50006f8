-- Older mail that somebody asked to be read: the daemon takes it behind new mail, the newest first.
CREATE TABLE backfill (
    id           INTEGER PRIMARY KEY,
    account      INTEGER NOT NULL REFERENCES account (id),
    mailbox      TEXT NOT NULL,
    since        INTEGER NOT NULL,            -- mail received earlier is left alone
    per_minute   INTEGER NOT NULL CHECK (per_minute > 0),
    asked_at     INTEGER NOT NULL,
    uid_validity INTEGER,                     -- of the mailbox when the work began; null before
    below        INTEGER,                     -- messages with this UID and higher ones are done
    found        INTEGER,                     -- messages when the work began
    looked_at    INTEGER NOT NULL DEFAULT 0,  -- of these
    state        TEXT NOT NULL,               -- open, done, failed, cancelled
    reason       TEXT                         -- why it failed
) STRICT;
CREATE UNIQUE INDEX backfill_open ON backfill (account, mailbox) WHERE state = 'open';
