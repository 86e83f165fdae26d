-- Upserting finds contacts by email, compared without case. Only the case of ASCII letters counts,
-- so that the answer does not depend on the locale of the database.
CREATE INDEX contacts_by_email ON contacts (company_id, lower(email COLLATE "C"), id) WHERE email IS NOT NULL;

-- An answer that is repeated has the ETag that it had.
ALTER TABLE idempotency_keys ADD COLUMN etag text;
