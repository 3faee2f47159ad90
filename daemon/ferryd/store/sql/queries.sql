-- The queue's statements. `-- name: x` begins a statement; what it is for follows on the same line.

-- name: insert_transfer  queue one
INSERT INTO transfers (
    id, kind, state, spec, client, request_id, fingerprint, local_path, created_at, updated_at, title, priority, phase,
    waiting_for, next_attempt_at, error, attempts, size_bytes, persisted_bytes, resent_bytes, chunk_count, chunk_index,
    file_count, file_index, file_name, session_id, asset_id, content_id, digest, ended_at, session_number,
    pinned_content_id, debris, part_checksum, pack_bytes, context, hub, present_file_count, looked
) VALUES (
    :id, :kind, :state, :spec, :client, :request_id, :fingerprint, :local_path, :created_at, :updated_at, :title,
    :priority, :phase, :waiting_for, :next_attempt_at, :error, :attempts, :size_bytes, :persisted_bytes, :resent_bytes,
    :chunk_count, :chunk_index, :file_count, :file_index, :file_name, :session_id, :asset_id, :content_id, :digest,
    :ended_at, :session_number, :pinned_content_id, :debris, :part_checksum, :pack_bytes, :context, :hub,
    :present_file_count, :looked
)

-- name: write_transfer  everything that can change, guarded by the state it was read in
UPDATE transfers SET
    state = :state, updated_at = :updated_at, title = :title, priority = :priority, phase = :phase,
    waiting_for = :waiting_for, next_attempt_at = :next_attempt_at, error = :error, attempts = :attempts,
    size_bytes = :size_bytes, persisted_bytes = :persisted_bytes, resent_bytes = :resent_bytes,
    chunk_count = :chunk_count, chunk_index = :chunk_index, file_count = :file_count, file_index = :file_index,
    file_name = :file_name, session_id = :session_id, asset_id = :asset_id, content_id = :content_id,
    digest = :digest, ended_at = :ended_at, session_number = :session_number,
    pinned_content_id = :pinned_content_id, debris = :debris, part_checksum = :part_checksum, pack_bytes = :pack_bytes,
    present_file_count = :present_file_count, looked = :looked
WHERE id = :id AND state = :guard

-- name: get_transfer
SELECT * FROM transfers WHERE id = :id

-- name: find_request
SELECT * FROM transfers WHERE request_id = :request_id

-- name: page_all  newest first
SELECT * FROM transfers WHERE seq < :before ORDER BY seq DESC LIMIT :limit

-- name: page_states  newest first; the union of one short range per state
SELECT * FROM transfers WHERE seq IN (
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s0 AND seq < :before ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s1 AND seq < :before ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s2 AND seq < :before ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s3 AND seq < :before ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s4 AND seq < :before ORDER BY seq DESC LIMIT :limit)
    UNION ALL
    SELECT seq FROM (SELECT seq FROM transfers WHERE state = :s5 AND seq < :before ORDER BY seq DESC LIMIT :limit)
) ORDER BY seq DESC LIMIT :limit

-- name: counts  by state, from the index alone
SELECT state, count(*) AS n FROM transfers GROUP BY state

-- name: unsettled  by state and what they wait for; however many have settled
SELECT state, coalesce(waiting_for, '') AS waiting_for, count(*) AS n
FROM transfers
WHERE state IN ('queued', 'running', 'paused')
GROUP BY state, waiting_for

-- name: put_file  a new row, or what can change of an old one
INSERT INTO transfer_files (
    transfer_id, file_index, path, local_path, size_bytes, part_bytes, identity, digest, persisted_bytes, done, skipped,
    part_path
) VALUES (
    :transfer_id, :file_index, :path, :local_path, :size_bytes, :part_bytes, :identity, :digest, :persisted_bytes,
    :done, :skipped, :part_path
) ON CONFLICT (transfer_id, file_index) DO UPDATE SET
    local_path = excluded.local_path, part_bytes = excluded.part_bytes, digest = excluded.digest,
    persisted_bytes = excluded.persisted_bytes, done = excluded.done, skipped = excluded.skipped, part_path = excluded.part_path

-- name: files
SELECT * FROM transfer_files WHERE transfer_id = :transfer_id AND file_index > :after ORDER BY file_index LIMIT :limit

-- name: put_part
INSERT INTO parts (transfer_id, file_index, number, block_digests, crc64nvme, persisted)
VALUES (:transfer_id, :file_index, :number, :block_digests, :crc64nvme, :persisted)
ON CONFLICT (transfer_id, file_index, number) DO UPDATE SET
    block_digests = excluded.block_digests, crc64nvme = excluded.crc64nvme, persisted = excluded.persisted

-- name: parts
SELECT * FROM parts WHERE transfer_id = :transfer_id ORDER BY file_index, number

-- name: drop_all_parts
DELETE FROM parts WHERE transfer_id = :transfer_id

-- name: forget_parts  the receiver has lost them
UPDATE parts SET persisted = 0 WHERE transfer_id = :transfer_id AND persisted = 1

-- name: forget_files  nothing of them is with the receiver
UPDATE transfer_files SET persisted_bytes = 0, done = 0 WHERE transfer_id = :transfer_id

-- name: add_event
INSERT INTO transfer_events (transfer_id, at, event, from_state, to_state, reason)
VALUES (:transfer_id, :at, :event, :from_state, :to_state, :reason)

-- name: events  the history of one transfer
SELECT at, event, from_state, to_state, reason FROM transfer_events WHERE transfer_id = :transfer_id ORDER BY seq

-- name: release_queued  due: they wait for a slot from now on
UPDATE transfers INDEXED BY transfers_due SET next_attempt_at = NULL, waiting_for = 'slot'
WHERE next_attempt_at <= :now AND state = 'queued'

-- name: due_paused
SELECT id FROM transfers INDEXED BY transfers_due
WHERE next_attempt_at <= :now AND state = 'paused' AND waiting_for <> 'user'

-- name: next_due
SELECT min(next_attempt_at) AS at FROM transfers WHERE next_attempt_at IS NOT NULL

-- name: next_ready_context  the next one along the index; in two, for (context, hub) > (…) walks all of one context
SELECT * FROM (
    SELECT context, hub FROM transfers INDEXED BY transfers_ready
    WHERE state = 'queued' AND next_attempt_at IS NULL AND context = :context AND hub > :hub
    ORDER BY context, hub LIMIT 1
)
UNION ALL
SELECT * FROM (
    SELECT context, hub FROM transfers INDEXED BY transfers_ready
    WHERE state = 'queued' AND next_attempt_at IS NULL AND context > :context
    ORDER BY context, hub LIMIT 1
)
LIMIT 1

-- name: candidates  of one context: jumps from client to client along the index, then takes the best few of each
WITH RECURSIVE clients (client) AS (
    SELECT min(client) FROM transfers INDEXED BY transfers_ready
    WHERE state = 'queued' AND next_attempt_at IS NULL AND context = :context AND hub = :hub
    UNION ALL
    SELECT (
        SELECT min(t.client) FROM transfers t INDEXED BY transfers_ready
        WHERE t.state = 'queued' AND t.next_attempt_at IS NULL AND t.context = :context AND t.hub = :hub
            AND t.client > clients.client
    )
    FROM clients WHERE clients.client IS NOT NULL
)
SELECT t.seq, t.id, t.client, t.priority FROM clients JOIN transfers t ON t.seq IN (
    SELECT r.seq FROM transfers r INDEXED BY transfers_ready
    WHERE r.state = 'queued' AND r.next_attempt_at IS NULL AND r.context = :context AND r.hub = :hub
        AND r.client = clients.client
    ORDER BY r.priority DESC, r.seq LIMIT :per_client
)
WHERE clients.client IS NOT NULL

-- name: interrupted  what was running when the daemon died
SELECT id FROM transfers WHERE state = 'running'

-- name: signed_out_of  what waits for a sign-in to one hub
SELECT id FROM transfers INDEXED BY transfers_signed_out
WHERE state = 'paused' AND waiting_for = 'auth' AND context = :context AND hub = :hub

-- name: signed_out  what waits for a token: a new daemon may have one
SELECT id FROM transfers WHERE state = 'paused' AND waiting_for = 'auth'

-- name: debris
SELECT * FROM transfers WHERE debris = 1 ORDER BY seq

-- name: active  unsettled and not paused by its user
SELECT EXISTS (
    SELECT 1 FROM transfers WHERE state IN ('queued', 'running')
    UNION ALL
    SELECT 1 FROM transfers WHERE state = 'paused' AND waiting_for <> 'user'
) AS active

-- name: get_setting
SELECT value FROM settings WHERE name = :name

-- name: put_setting
INSERT INTO settings (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
