-- What a provider said about a company, by the company's domain: nothing about a person. Asked again once it has expired.
CREATE TABLE enrichment_answer (
    provider      TEXT   NOT NULL,
    domain        TEXT   NOT NULL,
    answer        TEXT,                          -- JSON; none before the first answer
    fetched_at    BIGINT,
    expires_at    BIGINT NOT NULL,               -- before the first answer, when the claim ends
    claimed_until BIGINT NOT NULL DEFAULT 0,     -- a process is asking until then
    PRIMARY KEY (provider, domain)
);
CREATE INDEX enrichment_answer_expired ON enrichment_answer (expires_at);
