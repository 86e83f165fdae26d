-- A subscription wants one event type, several with commas between, or patterns for them
-- (src/model/events/selection.rs has the normal form).
ALTER TABLE subscriptions RENAME COLUMN event_type TO events;
