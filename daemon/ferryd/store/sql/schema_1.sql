-- Version 1 of the queue. A later version is a schema_2.sql that changes what is there; see store/opening.py.

CREATE TABLE transfers (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT    NOT NULL UNIQUE,
    kind              TEXT    NOT NULL CHECK (kind IN ('upload', 'download')),
    state             TEXT    NOT NULL
                      CHECK (state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
    spec              TEXT    NOT NULL,                   -- JSON
    client            TEXT    NOT NULL,
    request_id        TEXT    NOT NULL UNIQUE,
    fingerprint       TEXT    NOT NULL,                   -- of the request's arguments
    local_path        TEXT    NOT NULL,
    created_at        REAL    NOT NULL,
    updated_at        REAL    NOT NULL,
    title             TEXT    NOT NULL,
    priority          INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
    phase             TEXT,
    waiting_for       TEXT,
    next_attempt_at   REAL,
    error             TEXT,                               -- JSON
    attempts          INTEGER NOT NULL CHECK (attempts >= 0),
    size_bytes        INTEGER NOT NULL CHECK (size_bytes >= 0),
    persisted_bytes   INTEGER NOT NULL CHECK (persisted_bytes BETWEEN 0 AND size_bytes),
    resent_bytes      INTEGER NOT NULL CHECK (resent_bytes >= 0),
    chunk_count       INTEGER NOT NULL CHECK (chunk_count >= 0),
    chunk_index       INTEGER NOT NULL CHECK (chunk_index BETWEEN 0 AND chunk_count),
    file_count        INTEGER NOT NULL CHECK (file_count >= 0),
    file_index        INTEGER NOT NULL,
    file_name         TEXT    NOT NULL,
    session_id        TEXT    NOT NULL,
    asset_id          TEXT    NOT NULL,
    content_id        TEXT    NOT NULL,
    digest            TEXT    NOT NULL,
    ended_at          REAL,
    session_number    INTEGER NOT NULL,
    pinned_content_id TEXT    NOT NULL,
    debris            INTEGER NOT NULL CHECK (debris IN (0, 1)),
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))),
    CHECK (state <> 'paused' OR waiting_for IS NOT NULL),
    CHECK (state <> 'succeeded' OR persisted_bytes = size_bytes)
);
-- Listing and counting by state.
CREATE INDEX transfers_by_state ON transfers (state, seq);
-- What may run now: one short range per client, best first.
CREATE INDEX transfers_ready ON transfers (client, priority DESC, seq)
    WHERE state = 'queued' AND next_attempt_at IS NULL;
-- What waits for a time.
CREATE INDEX transfers_due ON transfers (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX transfers_debris ON transfers (seq) WHERE debris = 1;

CREATE TABLE transfer_files (
    transfer_id     TEXT    NOT NULL REFERENCES transfers (id) ON DELETE CASCADE,
    file_index      INTEGER NOT NULL CHECK (file_index >= 0),
    path            TEXT    NOT NULL,
    local_path      TEXT    NOT NULL,
    size_bytes      INTEGER NOT NULL CHECK (size_bytes >= 0),
    part_bytes      INTEGER NOT NULL CHECK (part_bytes > 0),
    identity        TEXT,                                 -- JSON
    digest          BLOB    NOT NULL CHECK (length(digest) IN (0, 16)),
    persisted_bytes INTEGER NOT NULL CHECK (persisted_bytes BETWEEN 0 AND size_bytes),
    done            INTEGER NOT NULL CHECK (done IN (0, 1)),
    skipped         INTEGER NOT NULL CHECK (skipped IN (0, 1)),
    part_path       TEXT    NOT NULL,
    PRIMARY KEY (transfer_id, file_index)
) WITHOUT ROWID;

CREATE TABLE parts (
    transfer_id   TEXT    NOT NULL REFERENCES transfers (id) ON DELETE CASCADE,
    file_index    INTEGER NOT NULL CHECK (file_index >= 0),
    number        INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
    block_digests BLOB    NOT NULL CHECK (length(block_digests) > 0 AND length(block_digests) % 16 = 0),
    persisted     INTEGER NOT NULL CHECK (persisted IN (0, 1)),  -- the receiver has it durably
    PRIMARY KEY (transfer_id, file_index, number)
) WITHOUT ROWID;

-- What happened, for ever: a row per change of state.
CREATE TABLE transfer_events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    transfer_id TEXT NOT NULL REFERENCES transfers (id) ON DELETE CASCADE,
    at          REAL NOT NULL,
    event       TEXT NOT NULL,
    from_state  TEXT,                                     -- NULL for the creation
    to_state    TEXT NOT NULL,
    reason      TEXT NOT NULL                             -- of the error that caused it, or empty
);
CREATE INDEX transfer_events_of ON transfer_events (transfer_id, seq);
CREATE TRIGGER transfer_events_append_only BEFORE UPDATE ON transfer_events
BEGIN
    SELECT RAISE (ABORT, 'transfer_events is append-only');
END;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO settings (name, value) VALUES ('page_key', hex(randomblob(16)));
