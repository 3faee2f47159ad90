-- Version 6 of the queue: downloads tell what was there before them from what they have brought.

-- Whether a download has seen, to the end, what was at its final names.
ALTER TABLE transfers ADD COLUMN looked INTEGER NOT NULL DEFAULT 0;
