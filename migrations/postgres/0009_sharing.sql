-- Several daemons share the work: each has a lease on its own life, and with it shards of the accounts.

CREATE TABLE instance (
    id            BIGINT PRIMARY KEY,          -- by chance: one life of a daemon, never given out twice
    name          TEXT NOT NULL,
    registered_at BIGINT NOT NULL,
    -- Grows while it lives. Each daemon times by a clock of its own how long it has not; no calendar
    -- decides.
    renewals      BIGINT NOT NULL DEFAULT 0,
    shards        BYTEA NOT NULL               -- in which it has accounts: one bit a shard
);

CREATE TABLE shard (
    id    BIGINT PRIMARY KEY CHECK (id BETWEEN 0 AND 4095),
    owner BIGINT REFERENCES instance (id) ON DELETE SET NULL,
    epoch BIGINT NOT NULL DEFAULT 0            -- how often it was taken
);
CREATE INDEX shard_owner ON shard (owner);
INSERT INTO shard (id) SELECT generate_series(0, 4095);

-- Under which epoch of its account's shard an effect was settled; null where nobody shares.
ALTER TABLE effect ADD COLUMN epoch BIGINT;
