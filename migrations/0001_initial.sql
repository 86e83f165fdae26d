-- The whole schema. Every table is keyed by company first, so that a company
-- can one day be placed on a database of its own.

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

-- The log. No foreign keys: nothing may wait after log_head is locked.
CREATE TABLE events (
    seq         bigint PRIMARY KEY,
    company_id  uuid NOT NULL,
    type        text NOT NULL,
    id          uuid NOT NULL,
    record_id   uuid NOT NULL,
    source      text NOT NULL CHECK (source IN ('api', 'ui')),
    at          timestamptz NOT NULL,
    -- the record as JSON text, byte for byte as it is sent
    data        text NOT NULL
);
CREATE INDEX events_of_type ON events (company_id, type, seq);

-- Counts every change of a subscription. A change bumps it in its own
-- transaction (the row lock makes version order commit order), and the tail
-- never offers an event under definitions older than the event.
CREATE TABLE subscription_version (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    version  bigint NOT NULL CHECK (version >= 0)
) WITH (fillfactor = 10);
INSERT INTO subscription_version (version) VALUES (0);

CREATE TABLE subscriptions (
    company_id     uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    id             uuid NOT NULL,
    event_type     text NOT NULL,
    target_url     text NOT NULL,
    -- canonical JSON text of the filters, '{}' when there are none
    filters        text NOT NULL,
    secret         text NOT NULL,
    status         text NOT NULL CHECK (status IN ('active', 'paused', 'deactivated', 'deleted')),
    status_reason  text,
    -- may loopback addresses be delivered to (the subscriber was local)?
    loopback       boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    version        bigint NOT NULL,
    PRIMARY KEY (company_id, id),
    CHECK ((status = 'deactivated') = (status_reason IS NOT NULL))
);
CREATE UNIQUE INDEX subscriptions_twin ON subscriptions
    (company_id, event_type, md5(target_url || ' ' || filters)) WHERE status IN ('active', 'paused');
CREATE INDEX subscriptions_by_version ON subscriptions (version);

-- Where each subscription stands. Everything up to and including `seq` is done.
-- `lagging = false` says it is also done up to the shard's checkpoint.
CREATE TABLE cursors (
    subscription_id   uuid PRIMARY KEY,
    company_id        uuid NOT NULL,
    seq               bigint NOT NULL CHECK (seq >= 0),
    lagging           boolean NOT NULL DEFAULT false,
    -- of the next event: attempts made, and when the next one is due
    head_attempts     smallint NOT NULL DEFAULT 0 CHECK (head_attempts BETWEEN 0 AND 3),
    next_attempt_at   timestamptz,
    -- delivery health
    undelivered_in_row  integer NOT NULL DEFAULT 0,
    last_attempt_at   timestamptz,
    last_success_at   timestamptz,
    last_error        text,
    FOREIGN KEY (company_id, subscription_id) REFERENCES subscriptions (company_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- One row per attempt, appended.
CREATE TABLE attempts (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id       uuid NOT NULL,
    subscription_id  uuid NOT NULL,
    seq              bigint NOT NULL,
    event_id         uuid NOT NULL,
    attempt          smallint NOT NULL CHECK (attempt BETWEEN 1 AND 4),
    at               timestamptz NOT NULL,
    duration_ms      integer NOT NULL CHECK (duration_ms >= 0),
    -- delivered, failed (another attempt follows) or undelivered (none does)
    outcome          text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'undelivered')),
    status           smallint,
    error            text
);
CREATE INDEX attempts_age ON attempts (at);
CREATE INDEX attempts_undelivered ON attempts (company_id, subscription_id, seq) WHERE outcome = 'undelivered';

-- A shard of the delivery work. Up to `checkpoint` every event was offered to
-- every subscription of the shard. Whoever takes the shard raises `epoch`;
-- cursor moves that carry an older epoch are refused.
CREATE TABLE shards (
    id          smallint PRIMARY KEY,
    epoch       bigint NOT NULL,
    checkpoint  bigint NOT NULL CHECK (checkpoint >= 0)
) WITH (fillfactor = 10);
INSERT INTO shards (id, epoch, checkpoint) VALUES (0, 0, 0);
