-- Version 4 of the queue: hubs whose store verifies a checksum of its own.

-- What the parts of the open session need: 'crc64nvme' or nothing.
ALTER TABLE transfers ADD COLUMN part_checksum TEXT NOT NULL DEFAULT '';
-- Empty when it was not asked for.
ALTER TABLE parts ADD COLUMN crc64nvme BLOB NOT NULL DEFAULT x'' CHECK (length(crc64nvme) IN (0, 8));
