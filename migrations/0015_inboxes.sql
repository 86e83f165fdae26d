-- A URL of this server that keeps what it receives, to try webhooks out: one per company, for a while.
CREATE TABLE inboxes (
    company_id  uuid PRIMARY KEY REFERENCES companies (id) ON DELETE CASCADE,
    -- in the URL; whoever knows it may POST
    token       text NOT NULL UNIQUE,
    answer      text NOT NULL DEFAULT 'ok' CHECK (answer IN ('ok', 'error', 'slow', 'gone')),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX inboxes_expiry ON inboxes (expires_at);

-- The newest of what it received.
CREATE TABLE inbox_messages (
    company_id  uuid NOT NULL REFERENCES inboxes (company_id) ON DELETE CASCADE,
    id          uuid NOT NULL,
    at          timestamptz NOT NULL,
    headers     text NOT NULL,
    body        text NOT NULL,
    -- what was answered
    status      smallint NOT NULL,
    -- whether the signature is that of the subscription; null if there is none
    verified    boolean,
    PRIMARY KEY (company_id, id)
);
