-- Version 2 of the queue: a transfer belongs to one of many hubs. What is there belongs to the one configured until now.

ALTER TABLE transfers ADD COLUMN context TEXT NOT NULL DEFAULT '';
ALTER TABLE transfers ADD COLUMN hub     TEXT NOT NULL DEFAULT '';
UPDATE transfers SET context = configured('context'), hub = configured('hub');

-- What may run now: one short range per hub and client, best first.
DROP INDEX transfers_ready;
CREATE INDEX transfers_ready ON transfers (context, hub, client, priority DESC, seq)
    WHERE state = 'queued' AND next_attempt_at IS NULL;
-- What a login lets go on.
CREATE INDEX transfers_signed_out ON transfers (context, hub) WHERE state = 'paused' AND waiting_for = 'auth';
