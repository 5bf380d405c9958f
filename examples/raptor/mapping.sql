-- Raptor's rows in the shape that the backfill reads: every assumption about the legacy schema that
-- leaves `schema.sql` is here. The contract of the three views is in docs/cutover.md.
-- Idempotent; adds one column to each legacy table and changes nothing else.

ALTER TABLE customers            ADD COLUMN IF NOT EXISTS migrated_to_queue TIMESTAMPTZ;
ALTER TABLE webauthn_credentials ADD COLUMN IF NOT EXISTS migrated_to_queue TIMESTAMPTZ;
ALTER TABLE customer_sessions    ADD COLUMN IF NOT EXISTS migrated_to_queue TIMESTAMPTZ;

CREATE OR REPLACE VIEW queue_legacy_customers AS
SELECT id::TEXT AS legacy_id,
       -- Raptor's ids are UUIDs, and stay.
       id AS customer_id,
       email,
       email_verified_at,
       nullif(left(btrim(name), 200), '') AS display_name,
       CASE WHEN disabled_at IS NULL THEN 'active' ELSE 'suspended' END AS state,
       disabled_at AS suspended_at,
       created_at,
       updated_at,
       migrated_to_queue
FROM customers;

CREATE OR REPLACE VIEW queue_legacy_credentials AS
SELECT id::TEXT AS legacy_id,
       customer_id,
       credential_id,
       public_key AS public_key_cose,
       sign_count,
       aaguid,
       array_to_string(transports, ' ') AS transports,
       backup_eligible,
       backed_up AS backup_state,
       coalesce(nullif(left(btrim(label), 100), ''), 'Passkey') AS name,
       created_at,
       last_used_at,
       migrated_to_queue
FROM webauthn_credentials;

-- Live sessions only: what has ended stays where it is.
CREATE OR REPLACE VIEW queue_legacy_sessions AS
SELECT id::TEXT AS legacy_id,
       customer_id,
       created_at AS auth_time,
       created_at,
       expires_at,
       -- A code by e-mail (RFC 8176 has no name of its own for it).
       'otp' AS amr,
       migrated_to_queue
FROM customer_sessions
WHERE revoked_at IS NULL AND expires_at > now();
