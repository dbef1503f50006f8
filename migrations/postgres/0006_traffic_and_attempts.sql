-- What came from an account's server on one day in UTC (days since 1970); of earlier days nothing is
-- kept.
CREATE TABLE traffic (
    account  BIGINT PRIMARY KEY REFERENCES account (id),
    day      BIGINT NOT NULL,
    received BIGINT NOT NULL          -- bytes
);

-- How often in a row a request for older mail met an error that may pass.
ALTER TABLE backfill ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
