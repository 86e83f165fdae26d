-- What happened to one record, newest first, without going through the log of its company.
CREATE INDEX events_of_record ON events (company_id, record_id, seq);
