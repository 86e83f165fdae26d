-- After a rotation the secret before signs too, for a while.
ALTER TABLE subscriptions
    ADD COLUMN previous_secret        text,
    ADD COLUMN previous_secret_until  timestamptz,
    ADD CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL));
CREATE INDEX subscriptions_previous_secret ON subscriptions (previous_secret_until)
    WHERE previous_secret_until IS NOT NULL;
