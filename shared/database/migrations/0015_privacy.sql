-- Entries taken off the suppression list: that a person had opted out, and who ended it.
CREATE TABLE suppression_removal (
    entry      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,                -- domain, address
    reason     TEXT   NOT NULL,
    added_by   TEXT   NOT NULL,
    added_at   BIGINT NOT NULL,
    removed_by TEXT   NOT NULL,
    removal    TEXT   NOT NULL,                -- why
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (entry, added_at, removed_at)
);
CREATE INDEX suppression_removal_newest ON suppression_removal (removed_at, entry);
