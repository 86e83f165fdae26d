-- When and from where a key was used last, to the minute.
ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz, ADD COLUMN last_used_from text;
