-- Who caused an event, and what a change changed. Events of before have neither.
ALTER TABLE events
    -- the API key
    ADD COLUMN actor uuid,
    -- of a change: the fields that changed, with their values of before, as JSON text
    ADD COLUMN previous text;
ALTER TABLE subscriptions
    -- what deliveries carry beyond the envelope of everybody: words with commas between
    ADD COLUMN include text NOT NULL DEFAULT '',
    -- the API key whose own writes are left out
    ADD COLUMN ignored_actor uuid;
