-- Mails of ours that are to be sent: one row for each alert and address, written with the decision that
-- raised it, and kept as the record that it was. The text of a mail that is alerted of is here only
-- where the configuration includes it, and only until the row has come to its end.
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY,
    kind            TEXT NOT NULL,      -- alert, digest
    effect          INTEGER REFERENCES effect (id) ON DELETE SET NULL,
    rule            TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    per_hour        INTEGER NOT NULL,   -- how many alerts the rule might send when it was written
    message_id      TEXT NOT NULL,      -- with its brackets; the same at every attempt
    idempotency_key TEXT NOT NULL UNIQUE,
    state           TEXT NOT NULL,      -- waiting, sending, sent, failed, digested, suppressed
    facts           TEXT,               -- of an alert, as JSON; null when it has come to its end
    digest          INTEGER REFERENCES outbox (id),  -- of a digested alert: the mail that counts it
    created_at      INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,   -- not sent before
    attempts        INTEGER NOT NULL DEFAULT 0,
    owner           TEXT,               -- of several daemons the one that is sending it
    reason          TEXT,               -- why the last attempt failed
    ended_at        INTEGER
) STRICT;
CREATE INDEX outbox_open ON outbox (due_at, id) WHERE state IN ('waiting', 'sending');
CREATE INDEX outbox_rule ON outbox (rule, recipient, created_at);
CREATE INDEX outbox_digest ON outbox (digest) WHERE digest IS NOT NULL;
CREATE INDEX outbox_failed ON outbox (ended_at) WHERE state = 'failed';
CREATE INDEX outbox_effect ON outbox (effect) WHERE effect IS NOT NULL;

-- Who counts a rule's alerts to an address holds its row meanwhile, so that daemons that share the work
-- do not each take the last place of the hour.
CREATE TABLE alert_budget (
    rule       TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    counted_at INTEGER NOT NULL,
    PRIMARY KEY (rule, recipient)
) STRICT, WITHOUT ROWID;
