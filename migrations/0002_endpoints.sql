-- Order holds per endpoint: a company's subscriptions to one URL are delivered by one process, in
-- one order. So the shard follows from company and URL; before, it followed from the id of the
-- subscription. Servers of the version before must be stopped first.

-- The shard of an endpoint. The one definition.
CREATE FUNCTION endpoint_shard(company_id uuid, target_url text) RETURNS smallint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT (get_byte(decode(md5(company_id::text || ' ' || target_url), 'hex'), 0) & 15)::smallint $$;

ALTER TABLE cursors ALTER COLUMN shard DROP EXPRESSION;

-- In another shard, another checkpoint would say what is done.
UPDATE cursors c SET seq = done.seq, lagging = true
FROM done WHERE done.subscription_id = c.subscription_id;
UPDATE cursors c SET shard = endpoint_shard(s.company_id, s.target_url)
FROM subscriptions s WHERE s.company_id = c.company_id AND s.id = c.subscription_id;

-- The others to the same URL are looked up whenever one is made or its secret changes.
CREATE INDEX subscriptions_of_endpoint ON subscriptions (company_id, md5(target_url)) WHERE status <> 'deleted';
