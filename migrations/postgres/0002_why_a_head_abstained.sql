-- Why a head abstained: unsure, language, too-little-text; null where it did not, and in rows from
-- before there was any reason but the first.
ALTER TABLE prediction ADD COLUMN abstention TEXT;
