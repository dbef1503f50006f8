-- Effects are more than keywords: add-keyword, remove-keyword, flag, move. The argument is the keyword,
-- the flag, or the name of the mailbox to move to.
ALTER TABLE effect RENAME COLUMN keyword TO argument;
ALTER TABLE effect ADD COLUMN may_create BIGINT NOT NULL DEFAULT 0;  -- the mailbox, where it is missing
-- Of a move that the server was told of; null before. What comes into the mailbox from then on has
-- this UID or a higher one, so a copy of ours is looked for there before another one is made.
ALTER TABLE effect ADD COLUMN begun_at BIGINT;
ALTER TABLE effect ADD COLUMN target_validity BIGINT;
ALTER TABLE effect ADD COLUMN target_next BIGINT;
-- A copy is known to be there: what is left is to remove the original.
ALTER TABLE effect ADD COLUMN copied BIGINT NOT NULL DEFAULT 0;

-- Where a message is since we moved it; null where it was never moved by us, or the server did not say.
ALTER TABLE message ADD COLUMN moved_to TEXT;
ALTER TABLE message ADD COLUMN moved_validity BIGINT;
ALTER TABLE message ADD COLUMN moved_uid BIGINT;
CREATE INDEX message_moved ON message (account, moved_to, moved_validity, moved_uid)
    WHERE moved_to IS NOT NULL;

-- Messages that are about to be read: raised before, and gone when they are decided. What stands here
-- at the next attempt did not come through.
CREATE TABLE attempt (
    mailbox      BIGINT NOT NULL REFERENCES mailbox (id),
    uid_validity BIGINT NOT NULL,
    uid          BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    asked        BIGINT NOT NULL DEFAULT 0,  -- it was quarantined, and somebody wants another attempt
    PRIMARY KEY (mailbox, uid_validity, uid)
);
CREATE INDEX message_quarantined ON message (mailbox, uid_validity) WHERE outcome = 'quarantined';
