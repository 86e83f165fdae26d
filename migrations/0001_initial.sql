-- The whole schema, in the order in which data takes its way: who calls, the records, the
-- log, the subscriptions, the deliveries. Every table is keyed by company first, so that a
-- company can be placed on a database of its own.

CREATE TABLE companies (
    id          uuid PRIMARY KEY,
    name        text NOT NULL CHECK (name <> ''),
    created_at  timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id            uuid PRIMARY KEY,
    company_id    uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    name          text NOT NULL CHECK (name <> ''),
    description   text,
    service_type  text NOT NULL CHECK (service_type IN ('generic', 'zapier', 'make', 'webhook', 'custom')),
    permissions   text[] NOT NULL,
    -- requests per minute; null = unlimited
    rate_limit    integer CHECK (rate_limit > 0),
    expires_at    timestamptz,
    -- SHA-256 of the whole key; the key itself is stored nowhere
    hash          bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- prefix and last four characters, to recognise a key by
    hint          text NOT NULL,
    created_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);
CREATE INDEX api_keys_company ON api_keys (company_id, created_at);

CREATE TABLE team_members (
    company_id  uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    id          uuid NOT NULL,
    name        text NOT NULL CHECK (name <> ''),
    email       text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (company_id, id)
);

CREATE TABLE contacts (
    company_id       uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    id               uuid NOT NULL,
    name             text NOT NULL,
    first_name       text,
    last_name        text,
    phone_number     text NOT NULL,
    -- as compared: punctuation dropped, leading 00 turned into +
    phone_key        text NOT NULL,
    email            text,
    position         text,
    current_company  text,
    industry_sector  text,
    city             text,
    country          text,
    tags             jsonb NOT NULL CHECK (jsonb_typeof(tags) = 'array'),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL CHECK (updated_at >= created_at),
    PRIMARY KEY (company_id, id),
    CONSTRAINT contacts_phone_unique UNIQUE (company_id, phone_key)
);
CREATE INDEX contacts_newest ON contacts (company_id, created_at DESC, id DESC);

CREATE TABLE deals (
    company_id           uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    id                   uuid NOT NULL,
    title                text NOT NULL,
    description          text,
    value                numeric(21, 6),
    currency             text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    stage                text NOT NULL,
    priority             text NOT NULL CHECK (priority IN ('low', 'medium', 'high')),
    probability          smallint CHECK (probability BETWEEN 0 AND 100),
    status               text NOT NULL CHECK (status IN ('open', 'won', 'lost')),
    expected_close_date  timestamptz,
    actual_close_date    timestamptz,
    source               text,
    contact_id           uuid,
    assigned_to_id       uuid,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL CHECK (updated_at >= created_at),
    PRIMARY KEY (company_id, id),
    CONSTRAINT deals_contact FOREIGN KEY (company_id, contact_id)
        REFERENCES contacts (company_id, id) ON DELETE SET NULL (contact_id),
    CONSTRAINT deals_assigned_to FOREIGN KEY (company_id, assigned_to_id)
        REFERENCES team_members (company_id, id) ON DELETE SET NULL (assigned_to_id)
);
CREATE INDEX deals_newest ON deals (company_id, created_at DESC, id DESC);
CREATE INDEX deals_of_contact ON deals (company_id, contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX deals_of_member ON deals (company_id, assigned_to_id) WHERE assigned_to_id IS NOT NULL;

-- First answers of POSTs that carried an Idempotency-Key, kept for 24 hours.
CREATE TABLE idempotency_keys (
    company_id  uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    key         text NOT NULL,
    -- SHA-256 of method, path and body
    request     bytea NOT NULL CHECK (length(request) = 32),
    status      smallint NOT NULL CHECK (status BETWEEN 200 AND 499 AND status <> 429),
    answer      text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (company_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- The last number and time of the log. Taking numbers locks this row until
-- commit, so the order of numbers is the order of commits, without gaps.
CREATE TABLE log_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL CHECK (seq >= 0),
    at   timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log_head (seq, at) VALUES (0, to_timestamp(0));

-- The log, partitioned by its numbers, so that what is old can be dropped without a DELETE:
-- a cursor excludes partitions, and a clock that jumps cannot miss its partition. The server
-- makes partitions ahead (src/retention/). There are no default partitions: attaching one beside
-- them would scan them, under a lock. There are no foreign keys: nothing may wait after log_head
-- is locked.
CREATE TABLE events (
    seq         bigint PRIMARY KEY,
    company_id  uuid NOT NULL,
    type        text NOT NULL,
    id          uuid NOT NULL,
    record_id   uuid NOT NULL,
    source      text NOT NULL CONSTRAINT events_source_check CHECK (source IN ('api', 'ui')),
    at          timestamptz NOT NULL,
    -- the record as JSON text, byte for byte as it is sent
    data        text NOT NULL
) PARTITION BY RANGE (seq);
CREATE INDEX events_of_type ON events (company_id, type, seq);
CREATE TABLE events_from_0 PARTITION OF events FOR VALUES FROM (0) TO (100000);
CREATE TABLE events_from_100000 PARTITION OF events FOR VALUES FROM (100000) TO (200000);

-- Counts every change of a subscription. A change bumps it in its own
-- transaction (the row lock makes version order commit order), and the tail
-- never offers an event under definitions older than the event.
CREATE TABLE subscription_version (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    version  bigint NOT NULL CHECK (version >= 0)
) WITH (fillfactor = 10);
INSERT INTO subscription_version (version) VALUES (0);

CREATE TABLE subscriptions (
    company_id             uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    id                     uuid NOT NULL,
    event_type             text NOT NULL,
    target_url             text NOT NULL,
    -- canonical JSON text of the filters, '{}' when there are none
    filters                text NOT NULL,
    secret                 text NOT NULL,
    -- after a rotation the secret before signs, too, for a while
    previous_secret        text,
    previous_secret_until  timestamptz,
    status                 text NOT NULL CHECK (status IN ('active', 'paused', 'deactivated', 'deleted')),
    status_reason          text,
    -- whether loopback addresses may be delivered to, because the subscriber was local
    loopback               boolean NOT NULL,
    -- deliveries wait for the one before, or only for the one before of the same record
    ordering               text NOT NULL DEFAULT 'subscription' CHECK (ordering IN ('subscription', 'record')),
    concurrency            smallint NOT NULL DEFAULT 1 CHECK (concurrency BETWEEN 1 AND 64),
    -- events up to this number are not delivered any more: the subscriber resumed from there
    skip_to                bigint NOT NULL DEFAULT 0,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    version                bigint NOT NULL,
    PRIMARY KEY (company_id, id),
    CHECK ((status = 'deactivated') = (status_reason IS NOT NULL)),
    CHECK (ordering = 'record' OR concurrency = 1),
    CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
);
CREATE UNIQUE INDEX subscriptions_twin ON subscriptions
    (company_id, event_type, md5(target_url || ' ' || filters)) WHERE status IN ('active', 'paused');
CREATE INDEX subscriptions_by_version ON subscriptions (version);
CREATE INDEX subscriptions_previous_secret ON subscriptions (previous_secret_until)
    WHERE previous_secret_until IS NOT NULL;

-- How far each subscription is: everything up to and including `seq` is done.
-- `lagging = false` says that it is also done up to the checkpoint of the shard.
CREATE TABLE cursors (
    subscription_id     uuid PRIMARY KEY,
    company_id          uuid NOT NULL,
    -- the shard follows from the id of the subscription
    shard               smallint NOT NULL GENERATED ALWAYS AS (get_byte(uuid_send(subscription_id), 15) & 15) STORED,
    seq                 bigint NOT NULL CHECK (seq >= 0),
    lagging             boolean NOT NULL DEFAULT false,
    -- how far a lane has read beyond `seq`, and what of that is not done, as JSON
    -- (src/subscription/progress.rs writes and reads it); then `seq` is before the first of these
    read_ahead          text,
    -- of the next event: attempts made, and when the next one is due
    head_attempts       smallint NOT NULL DEFAULT 0 CHECK (head_attempts BETWEEN 0 AND 3),
    next_attempt_at     timestamptz,
    -- how deliveries go
    undelivered_in_row  integer NOT NULL DEFAULT 0,
    last_attempt_at     timestamptz,
    last_success_at     timestamptz,
    last_error          text,
    FOREIGN KEY (company_id, subscription_id) REFERENCES subscriptions (company_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- A process that delivers has a row here, its lease: the process is alive until
-- `expires_at`, and renews it. Whoever finds an expired lease deletes it, and thereby frees
-- the shards.
CREATE TABLE replicas (
    id          uuid PRIMARY KEY,
    expires_at  timestamptz NOT NULL
) WITH (fillfactor = 10);

-- A shard of the delivery work. Up to `checkpoint` every event was offered to
-- every subscription of the shard. Whoever takes the shard raises `epoch`;
-- cursor moves that carry an older epoch are refused.
CREATE TABLE shards (
    id          smallint PRIMARY KEY,
    epoch       bigint NOT NULL,
    checkpoint  bigint NOT NULL CHECK (checkpoint >= 0),
    holder      uuid REFERENCES replicas (id) ON DELETE SET NULL
) WITH (fillfactor = 10);
INSERT INTO shards (id, epoch, checkpoint) SELECT number, 0, 0 FROM generate_series(0, 15) AS number;

-- One row per attempt, appended; partitioned by week (from Monday, UTC).
CREATE TABLE attempts (
    company_id        uuid NOT NULL,
    subscription_id   uuid NOT NULL,
    seq               bigint NOT NULL,
    event_id          uuid NOT NULL,
    attempt           smallint NOT NULL CONSTRAINT attempts_attempt_check CHECK (attempt BETWEEN 1 AND 4),
    at                timestamptz NOT NULL,
    duration_ms       integer NOT NULL CONSTRAINT attempts_duration_ms_check CHECK (duration_ms >= 0),
    -- delivered, failed (another attempt follows) or undelivered (none does)
    outcome           text NOT NULL CONSTRAINT attempts_outcome_check
                      CHECK (outcome IN ('delivered', 'failed', 'undelivered')),
    -- live: it was the event's turn. replay: somebody wanted the event again.
    cause             text NOT NULL DEFAULT 'live' CONSTRAINT attempts_cause_check CHECK (cause IN ('live', 'replay')),
    status            smallint,
    error             text,
    -- dns, connect, tls, timeout, status, blocked, broken or other; null when delivered
    error_class       text,
    remote_addr       text,
    response_headers  text,
    response_body     text,
    -- the webhook-signature that was sent; its webhook-timestamp is `at` in whole seconds
    signature         text
) PARTITION BY RANGE (at);
CREATE INDEX attempts_of_subscription ON attempts (subscription_id, seq DESC, at DESC);
CREATE INDEX attempts_undelivered ON attempts (company_id, seq) WHERE outcome = 'undelivered';

-- What a subscription will never get although it waited for it.
CREATE TABLE gaps (
    company_id       uuid NOT NULL,
    subscription_id  uuid NOT NULL,
    -- the numbers of the log that it is about, both included
    from_seq         bigint NOT NULL,
    to_seq           bigint NOT NULL,
    -- events of the subscription's type among them: with filters, at most so many
    events           bigint NOT NULL CHECK (events > 0),
    -- retention: they were too old to be kept. skipped: the subscriber resumed without them.
    reason           text NOT NULL CHECK (reason IN ('retention', 'skipped')),
    at               timestamptz NOT NULL,
    PRIMARY KEY (company_id, subscription_id, to_seq, reason),
    FOREIGN KEY (company_id, subscription_id) REFERENCES subscriptions (company_id, id) ON DELETE CASCADE,
    CHECK (to_seq >= from_seq)
);
CREATE INDEX gaps_age ON gaps (at);

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

-- How far a subscription is done: every event up to `seq` was delivered, given up, not
-- wanted, or skipped; what is after it and matches is still to come. The one definition.
--
-- A cursor that does not lag has nothing to deliver up to the checkpoint of its shard.
-- `skip_to` counts from the moment somebody resumed from there, not only from when the
-- process that delivers has heard of it.
CREATE VIEW done AS
SELECT s.company_id, s.id AS subscription_id,
       greatest(c.seq, s.skip_to, CASE WHEN NOT c.lagging THEN h.checkpoint END) AS seq
FROM subscriptions s JOIN cursors c ON c.subscription_id = s.id JOIN shards h ON h.id = c.shard;
