-- Several daemons share the work on a server's database. A file has one daemon, which holds its lock: these
-- tables are here so that both kinds have the same ones, and stay empty.

CREATE TABLE instance (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    renewals      INTEGER NOT NULL DEFAULT 0,
    shards        BLOB NOT NULL
) STRICT;

CREATE TABLE shard (
    id    INTEGER PRIMARY KEY,
    owner INTEGER REFERENCES instance (id) ON DELETE SET NULL,
    epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX shard_owner ON shard (owner);

-- Under which epoch of its account's shard an effect was settled; null where nobody shares.
ALTER TABLE effect ADD COLUMN epoch INTEGER;
