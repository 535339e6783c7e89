-- What SQS cannot keep of a message: how often it was really tried. Gone once the message is settled.
CREATE TABLE sqs_try (
    message_key TEXT   NOT NULL PRIMARY KEY,   -- the delivery id, where the message is ours
    attempts    BIGINT NOT NULL DEFAULT 0,     -- tries that failed
    losses      BIGINT NOT NULL DEFAULT 0,     -- tries that ended without a word
    lease       TEXT,                          -- who is trying it; still there after a death
    touched_at  BIGINT NOT NULL
);
CREATE INDEX sqs_try_oldest ON sqs_try (touched_at);
