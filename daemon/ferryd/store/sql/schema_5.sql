-- Version 5 of the queue: hubs whose store takes small files together.

-- What they may have together in the open session; 0 when each goes by itself.
ALTER TABLE transfers ADD COLUMN pack_bytes INTEGER NOT NULL DEFAULT 0;
