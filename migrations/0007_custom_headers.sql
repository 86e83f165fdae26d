-- Headers that go with every delivery of a subscription, a JSON object of texts.
ALTER TABLE subscriptions ADD COLUMN headers jsonb NOT NULL DEFAULT '{}';
