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
