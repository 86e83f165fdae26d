-- The event types of the log, each with a number before which there is none of them. A migration
-- adds a row for each new type. So a server of an older version, which does not know the type,
-- can tell how far it understands the log: it reads no further, and delivers nothing
-- (src/log/read.rs).
CREATE TABLE event_types (
    type       text PRIMARY KEY,
    first_seq  bigint NOT NULL
);
INSERT INTO event_types (type, first_seq)
SELECT type, 1 FROM unnest(ARRAY['contact.created', 'contact.updated', 'deal.created', 'deal.updated',
                                 'deal.stage_changed', 'deal.won', 'deal.lost']) AS type
UNION ALL
SELECT type, seq + 1 FROM log_head, unnest(ARRAY['contact.deleted', 'deal.deleted']) AS type;

-- The types that a subscription wants, all there are of its patterns.
CREATE FUNCTION wanted_types(events text) RETURNS text[] LANGUAGE sql STABLE STRICT PARALLEL SAFE
    AS $$ SELECT array_agg(DISTINCT type) FROM event_types, regexp_split_to_table(events, ',') AS pattern
          WHERE type LIKE replace(replace(pattern, '_', '\_'), '*', '%') $$;

-- Events that the retention dropped before a replay came to them.
ALTER TABLE replays ADD COLUMN missed bigint NOT NULL DEFAULT 0;
CREATE INDEX replays_ended ON replays (updated_at) WHERE status <> 'running';
