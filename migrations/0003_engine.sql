-- Several processes deliver. Each that does has a row here, its lease: it is alive until
-- `expires_at`, and it renews that. Whoever finds a lease expired deletes it, and
-- thereby frees the shards. A subscription's shard follows from its id.
CREATE TABLE replicas (
    id          uuid PRIMARY KEY,
    expires_at  timestamptz NOT NULL
) WITH (fillfactor = 10);

ALTER TABLE shards ADD COLUMN holder uuid REFERENCES replicas (id) ON DELETE SET NULL;
INSERT INTO shards (id, epoch, checkpoint)
    SELECT number, epoch, checkpoint FROM shards, generate_series(1, 15) AS number;

-- Order of a subscription's deliveries: one after the other, or one per record at a time.
-- Events up to `skip_to` are not delivered any more: the subscriber resumed from there.
ALTER TABLE subscriptions
    ADD COLUMN ordering     text NOT NULL DEFAULT 'subscription' CHECK (ordering IN ('subscription', 'record')),
    ADD COLUMN concurrency  smallint NOT NULL DEFAULT 1 CHECK (concurrency BETWEEN 1 AND 64),
    ADD COLUMN skip_to      bigint NOT NULL DEFAULT 0,
    ADD CHECK (ordering = 'record' OR concurrency = 1);

-- `read_ahead`: how far a lane that is not strictly ordered has read, and what of that is not
-- done, as JSON (`webhooks/lane.rs` writes and reads it). Then `seq` is before the first of these.
ALTER TABLE cursors
    ADD COLUMN shard       smallint NOT NULL GENERATED ALWAYS AS (get_byte(uuid_send(subscription_id), 15) & 15) STORED,
    ADD COLUMN read_ahead  text;

-- What an attempt tells, beside its outcome.
ALTER TABLE attempts
    -- Why it was made: in the course of things, or because somebody wanted it again.
    ADD COLUMN cause             text NOT NULL DEFAULT 'live' CHECK (cause IN ('live', 'replay')),
    -- dns, connect, tls, timeout, status, blocked, broken or other; null when delivered
    ADD COLUMN error_class       text,
    ADD COLUMN remote_addr       text,
    ADD COLUMN response_headers  text,
    ADD COLUMN response_body     text,
    -- The webhook-signature that was sent; its webhook-timestamp is `at` in whole seconds.
    ADD COLUMN signature         text;

-- Events that a subscriber wants again. Everything up to `position` is done.
CREATE TABLE replays (
    company_id       uuid NOT NULL,
    id               uuid NOT NULL,
    subscription_id  uuid NOT NULL,
    only_undelivered boolean NOT NULL,
    -- at most so many events in a second
    per_second       smallint NOT NULL CHECK (per_second BETWEEN 1 AND 1000),
    from_seq         bigint NOT NULL,
    to_seq           bigint NOT NULL,
    position         bigint NOT NULL,
    status           text NOT NULL CHECK (status IN ('running', 'done', 'cancelled', 'failed')),
    status_reason    text,
    delivered        bigint NOT NULL DEFAULT 0,
    undelivered      bigint NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, subscription_id) REFERENCES subscriptions (company_id, id) ON DELETE CASCADE,
    CHECK ((status = 'failed') = (status_reason IS NOT NULL))
);
CREATE INDEX replays_of_subscription ON replays (company_id, subscription_id, created_at DESC);
CREATE INDEX replays_running ON replays (subscription_id) WHERE status = 'running';
