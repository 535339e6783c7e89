-- How an analysis was asked for, and why there is none where the neutral verdict stands in.
ALTER TABLE analysis ADD COLUMN prompt_version TEXT;
ALTER TABLE analysis ADD COLUMN fallback_reason TEXT;

-- What outside systems have cost, day by day; amounts in millionths of a US dollar.
CREATE TABLE spending (
    dependency TEXT   NOT NULL,
    day        BIGINT NOT NULL,               -- in UTC, counted from 1970-01-01
    held       BIGINT NOT NULL,               -- the most that calls under way may cost
    spent      BIGINT NOT NULL,
    PRIMARY KEY (dependency, day)
);
