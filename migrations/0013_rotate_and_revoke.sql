-- Keys that change, and credentials that are revoked.

-- Whether somebody else may know the key: what is sealed with it later than its rotation stays closed.
ALTER TABLE vault_keys ADD COLUMN is_compromised boolean NOT NULL DEFAULT false;

-- The key-encryption keys that each host has in its setting: a key becomes primary only when all hosts have it.
CREATE TABLE vault_hosts (
  instance uuid PRIMARY KEY,                    -- of the process: containers may have the same home
  home text NOT NULL,
  keys bigint[] NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE vault_hosts ENABLE ROW LEVEL SECURITY;  -- no policy here and below: the API role sees nothing of the vault

-- Moves of everything that is sealed with one key to another. Which rows are left is what the rows say, so that there is
-- no place to lose: this holds only counts, for people.
CREATE TABLE vault_rotations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purpose text NOT NULL CHECK (purpose IN ('kek', 'dek')),
  site_id bigint REFERENCES sites (id),
  old_key bigint NOT NULL,                      -- key_number of vault_keys
  new_key bigint NOT NULL,
  is_compromised boolean NOT NULL,
  requested_by bigint REFERENCES users (id) ON DELETE SET NULL,
  resealed bigint NOT NULL DEFAULT 0,
  clear_since timestamptz,                      -- the first of the looks in a row that found no row left
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  CHECK ((purpose = 'kek') = (site_id IS NULL))
);
CREATE UNIQUE INDEX vault_rotations_open ON vault_rotations (purpose, coalesce(site_id, 0)) WHERE ended_at IS NULL;
ALTER TABLE vault_rotations ENABLE ROW LEVEL SECURITY;

-- Sealed values that did not open when they were to get another key.
CREATE TABLE vault_quarantine (
  place text NOT NULL,                          -- table and column
  row_key text NOT NULL,
  key_number bigint NOT NULL,
  rotation_id bigint NOT NULL REFERENCES vault_rotations (id),
  found_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (place, row_key, key_number)
);
ALTER TABLE vault_quarantine ENABLE ROW LEVEL SECURITY;

-- Credentials that must not be used any more. The numbers grow in the order of commits: a connection whose
-- credential_epoch is not below the number of a revocation got its credentials later.
CREATE TABLE vault_revocations (
  id bigint PRIMARY KEY,
  scope text NOT NULL CHECK (scope IN ('connection', 'site', 'platform', 'all')),
  subject text NOT NULL,                        -- number of the connection or site, id of the platform; all: empty
  reason text NOT NULL,
  requested_by bigint REFERENCES users (id) ON DELETE SET NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz                          -- every connection is marked, asked for at its platform, and wiped
);
CREATE INDEX vault_revocations_subject ON vault_revocations (scope, subject, id);
ALTER TABLE vault_revocations ENABLE ROW LEVEL SECURITY;

-- What became of each connection. Whatever is pending is still sealed in its row, for asking the platform.
CREATE TABLE vault_revocation_items (
  revocation_id bigint NOT NULL REFERENCES vault_revocations (id),
  connection_id bigint NOT NULL REFERENCES platform_connections (id),
  outcome text NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'revoked', 'unsupported', 'failed')),
  ended_at timestamptz,
  PRIMARY KEY (revocation_id, connection_id)
);
CREATE INDEX vault_revocation_items_pending ON vault_revocation_items (revocation_id) WHERE outcome = 'pending';
ALTER TABLE vault_revocation_items ENABLE ROW LEVEL SECURITY;

-- The newest revocation when the credentials were entered; renewing them by themselves keeps it.
ALTER TABLE platform_connections ADD COLUMN credential_epoch bigint NOT NULL DEFAULT 0;
-- Since when the credentials count as known to others; new ones clear it.
ALTER TABLE platform_connections ADD COLUMN must_renew_since timestamptz;

CREATE INDEX event_endpoints_previous_key ON event_endpoints (previous_key_id) WHERE previous_key_id IS NOT NULL;
