-- The two tables that grow with every write become partitioned, so that what is old can be
-- dropped without a DELETE. No default partitions: attaching beside one would have to scan it,
-- under a lock. A partition needs its table's CHECKs under the same names, hence the names here.
-- From here on the server makes partitions ahead (src/retention/).

-- The log, by its numbers: a cursor prunes, and a clock that jumps cannot miss its partition.
-- What is there becomes the first partition, up to a round number beyond the head of the log.
ALTER TABLE events RENAME TO events_from_0;
ALTER INDEX events_pkey RENAME TO events_from_0_pkey;
ALTER INDEX events_of_type RENAME TO events_from_0_of_type;

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

DO $$
DECLARE
    width  bigint := 100000;
    bound  bigint := (SELECT seq / width + 1 FROM log_head) * width;
BEGIN
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_from_0 FOR VALUES FROM (0) TO (%s)', bound);
    EXECUTE format('CREATE TABLE events_from_%s PARTITION OF events FOR VALUES FROM (%s) TO (%s)',
                   bound, bound, bound + width);
END $$;

-- Attempts, by week (from Monday, UTC). They need no id of their own.
ALTER TABLE attempts RENAME TO attempts_before;
ALTER TABLE attempts_before DROP COLUMN id;
DROP INDEX attempts_age, attempts_undelivered;

CREATE TABLE attempts (
    company_id       uuid NOT NULL,
    subscription_id  uuid NOT NULL,
    seq              bigint NOT NULL,
    event_id         uuid NOT NULL,
    attempt          smallint NOT NULL CONSTRAINT attempts_attempt_check CHECK (attempt BETWEEN 1 AND 4),
    at               timestamptz NOT NULL,
    duration_ms      integer NOT NULL CONSTRAINT attempts_duration_ms_check CHECK (duration_ms >= 0),
    -- delivered, failed (another attempt follows) or undelivered (none does)
    outcome          text NOT NULL CONSTRAINT attempts_outcome_check
                     CHECK (outcome IN ('delivered', 'failed', 'undelivered')),
    status           smallint,
    error            text
) PARTITION BY RANGE (at);
CREATE INDEX attempts_of_subscription ON attempts (subscription_id, seq DESC, at DESC);
CREATE INDEX attempts_undelivered ON attempts (company_id, seq) WHERE outcome = 'undelivered';

DO $$
DECLARE
    last  timestamptz := (SELECT max(at) FROM attempts_before);
BEGIN
    IF last IS NULL THEN
        DROP TABLE attempts_before;
    ELSE
        EXECUTE format('ALTER TABLE attempts ATTACH PARTITION attempts_before FOR VALUES FROM (MINVALUE) TO (%L)',
                       date_trunc('week', last, 'UTC') + interval '7 days');
    END IF;
END $$;

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
