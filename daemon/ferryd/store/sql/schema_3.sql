-- Version 3 of the queue: how many files the receiver had whole when a transfer last began to move bytes.

ALTER TABLE transfers ADD COLUMN present_file_count INTEGER NOT NULL DEFAULT 0;
