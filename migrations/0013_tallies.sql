-- How many events occurred and how deliveries went, per minute and per hour: what the dashboard shows, at
-- a cost that does not grow with the log. Added to every second by each process; what a process had not
-- written when it was killed is not counted.
CREATE TABLE tallies (
    company_id       uuid NOT NULL,
    -- all zeros: the company as a whole
    subscription_id  uuid NOT NULL,
    unit             text NOT NULL CHECK (unit IN ('minute', 'hour')),
    at               timestamptz NOT NULL,
    events           bigint NOT NULL,
    attempts         bigint NOT NULL,
    failed           bigint NOT NULL,
    delivered        bigint NOT NULL,
    undelivered      bigint NOT NULL,
    -- deliveries by the time from event to answer: see src/tallies.rs
    latencies        bigint[] NOT NULL,
    PRIMARY KEY (company_id, subscription_id, unit, at)
) WITH (fillfactor = 50);
CREATE INDEX tallies_age ON tallies (unit, at);
