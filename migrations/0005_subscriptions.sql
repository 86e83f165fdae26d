-- Every secret that was promised to sign for a while does, however often it is rotated meanwhile.
ALTER TABLE subscriptions
    -- [[secret, until], …], the newest first; until as seconds since 1970
    ADD COLUMN previous_secrets jsonb NOT NULL DEFAULT '[]',
    -- when the first of them ends
    ADD COLUMN previous_secrets_due timestamptz,
    -- when its owner last said that the receiver is well: what waits for its time is tried at once
    ADD COLUMN resumed_at timestamptz;
UPDATE subscriptions
SET previous_secrets = jsonb_build_array(jsonb_build_array(previous_secret, extract(epoch FROM previous_secret_until))),
    previous_secrets_due = previous_secret_until
WHERE previous_secret IS NOT NULL;
DROP INDEX subscriptions_previous_secret;
ALTER TABLE subscriptions DROP COLUMN previous_secret, DROP COLUMN previous_secret_until;
CREATE INDEX subscriptions_previous_secrets ON subscriptions (previous_secrets_due)
    WHERE previous_secrets_due IS NOT NULL;

-- Whoever subscribes again finds a subscription that was deactivated meanwhile.
CREATE INDEX subscriptions_deactivated_twin ON subscriptions
    (company_id, events, md5(target_url || ' ' || filters)) WHERE status = 'deactivated';
