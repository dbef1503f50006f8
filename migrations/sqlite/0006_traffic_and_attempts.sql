-- What came from an account's server on one day in UTC (days since 1970); of earlier days nothing is
-- kept.
CREATE TABLE traffic (
    account  INTEGER PRIMARY KEY REFERENCES account (id),
    day      INTEGER NOT NULL,
    received INTEGER NOT NULL          -- bytes
) STRICT;

-- How often in a row a request for older mail met an error that may pass.
ALTER TABLE backfill ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
