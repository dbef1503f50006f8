-- A file has one daemon, which holds its lock: nothing is shared, and there are no leases.

-- Under which epoch of its account's shard an effect was settled; null where nobody shares.
ALTER TABLE effect ADD COLUMN epoch INTEGER;
