-- Events that wait are judged by the filters that were in force when they occurred.
-- [[up to this number of the log, filters], …], the oldest first; what follows the last number is
-- judged by the column "filters".
ALTER TABLE subscriptions ADD COLUMN earlier_filters jsonb NOT NULL DEFAULT '[]';
