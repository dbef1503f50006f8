-- What recognises a mailbox under another name, and a server that went back to an earlier state.
ALTER TABLE mailbox ADD COLUMN object_id TEXT;            -- MAILBOXID, where the server has one
ALTER TABLE mailbox ADD COLUMN highest_mod_seq BIGINT;   -- at the last SELECT; null where it keeps none
-- What the server calls a message wherever it is moved or copied (EMAILID, X-GUID), as a keyed hash.
ALTER TABLE message ADD COLUMN email BYTEA;
CREATE INDEX message_email ON message (account, email) WHERE email IS NOT NULL;
