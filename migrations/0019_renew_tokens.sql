-- Tokens that are renewed ahead of their end, and ended at their platform.

-- A renewal is a lease in the row: one process of all asks the platform. What these columns say belongs to the credentials
-- of renewal_generation alone, so that whoever stores other ones has nothing to clear.
ALTER TABLE platform_connections
  ADD COLUMN renewal_generation bigint,
  ADD COLUMN renewal_owner text,                -- the process that holds the lease, for people
  ADD COLUMN renewal_fence bigint NOT NULL DEFAULT 0,  -- grows with each lease: a late writer is known by it
  ADD COLUMN renewal_until timestamptz,         -- the lease's end
  ADD COLUMN renewal_state text                 -- sent: a request left and nobody has noted its answer; unknown: there was none
    CHECK (renewal_state IN ('sent', 'unknown', 'dead')),
  ADD COLUMN renewal_sent_at timestamptz,
  ADD COLUMN renewal_unknown smallint NOT NULL DEFAULT 0,  -- requests in a row of which nobody knows what they did
  ADD COLUMN renewal_failures int NOT NULL DEFAULT 0,
  ADD COLUMN renewal_retry_at timestamptz,      -- no request by itself before
  ADD COLUMN renewal_fault text CHECK (renewal_fault IN ('application', 'passing')),
  ADD COLUMN renewal_error text,
  ADD COLUMN renewal_failed_at timestamptz,
  ADD COLUMN renewed_at timestamptz;
CREATE INDEX platform_connections_renewal ON platform_connections (renew_at)
  WHERE renew_at IS NOT NULL AND deleted_at IS NULL;
GRANT SELECT (renewal_generation, renewal_state, renewal_retry_at, renewal_fault, renewal_error, renewal_failed_at,
  renewal_failures, renewed_at) ON platform_connections TO rostrum_api;

-- Credentials that their platform is to end: out of use here already, and kept sealed only until it did.
CREATE TABLE token_revocations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id bigint NOT NULL REFERENCES sites (id),
  connection_id bigint NOT NULL REFERENCES platform_connections (id),
  platform text NOT NULL,
  app_id bigint REFERENCES platform_apps (id),
  origin text,
  generation bigint NOT NULL,                   -- of the credentials, whose seal is bound to it
  sealed bytea NOT NULL,                        -- as it stood in platform_connections; wiped at the end
  key_id bigint NOT NULL,
  revocation_id bigint REFERENCES vault_revocations (id),  -- NULL for a disconnected account
  outcome text NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'revoked', 'unsupported', 'failed')),
  done int NOT NULL DEFAULT 0,                  -- requests of the manifest that were answered
  attempts int NOT NULL DEFAULT 0,
  error text,
  next_at timestamptz NOT NULL DEFAULT now(),   -- also the lease of whoever is at it
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);
CREATE INDEX token_revocations_pending ON token_revocations (next_at) WHERE outcome = 'pending';
CREATE INDEX token_revocations_key ON token_revocations (key_id) WHERE outcome = 'pending';  -- for changes of keys
ALTER TABLE token_revocations ENABLE ROW LEVEL SECURITY;  -- no policy: the API role sees nothing of the vault

-- 'asked': the credentials wait in token_revocations for the platform's answer.
ALTER TABLE vault_revocation_items DROP CONSTRAINT vault_revocation_items_outcome_check;
ALTER TABLE vault_revocation_items ADD CONSTRAINT vault_revocation_items_outcome_check
  CHECK (outcome IN ('pending', 'asked', 'revoked', 'unsupported', 'failed'));
