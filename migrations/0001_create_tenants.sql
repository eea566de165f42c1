-- Sites, people, tokens, keys, the event outbox and the audit trail.
-- Two roles: the connecting role owns everything (queue, migrations); rostrum_api is confined by row-level security.
DO $$ BEGIN
  CREATE ROLE rostrum_api NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('GRANT rostrum_api TO %I', current_user);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO rostrum_api', current_schema());
END $$;

-- The site of the running request; NULL outside one, so that nothing is visible by accident.
CREATE FUNCTION app_site_id() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('app.site_id', true), '')::bigint;

CREATE TABLE sites (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  domain text UNIQUE,
  time_zone text NOT NULL DEFAULT 'UTC',
  settings jsonb NOT NULL DEFAULT '{}',
  version int NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  archived_at timestamptz
);
ALTER TABLE sites ENABLE ROW LEVEL SECURITY;
CREATE POLICY sites_of_request ON sites TO rostrum_api USING (id = app_site_id());
GRANT SELECT, UPDATE ON sites TO rostrum_api;

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL,
  is_operator boolean NOT NULL DEFAULT false,  -- may create sites and see the host's own health
  created_at timestamptz NOT NULL DEFAULT now(),
  deactivated_at timestamptz
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE site_users (
  site_id bigint NOT NULL REFERENCES sites (id),
  user_id bigint NOT NULL REFERENCES users (id),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'author', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (site_id, user_id)
);
CREATE INDEX site_users_user ON site_users (user_id);
ALTER TABLE site_users ENABLE ROW LEVEL SECURITY;
CREATE POLICY site_users_of_request ON site_users TO rostrum_api USING (site_id = app_site_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON site_users TO rostrum_api;

CREATE TABLE api_tokens (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id),
  site_id bigint REFERENCES sites (id),         -- NULL: every site of the user
  role_limit text CHECK (role_limit IN ('owner', 'admin', 'editor', 'author', 'viewer')),
  name text NOT NULL,
  token_hash bytea NOT NULL UNIQUE,             -- SHA-256 of 32 random bytes; the token itself is never stored
  hint text NOT NULL,                           -- last characters, to tell tokens apart
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);
ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY api_tokens_of_request ON api_tokens TO rostrum_api USING (site_id = app_site_id());

CREATE TABLE idempotency_keys (
  site_id bigint NOT NULL REFERENCES sites (id),
  user_id bigint NOT NULL REFERENCES users (id),
  key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  request_hash bytea NOT NULL,
  status smallint NOT NULL,
  response text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (site_id, user_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY idempotency_keys_of_request ON idempotency_keys TO rostrum_api USING (site_id = app_site_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO rostrum_api;

-- Rows go in unchained with their change; a leader seals them into the chain later.
CREATE TABLE audit_logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id bigint REFERENCES sites (id),
  user_id bigint REFERENCES users (id),
  action text NOT NULL,
  subject text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  address text,
  user_agent text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_logs_site ON audit_logs (site_id, id);
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_logs_of_request ON audit_logs TO rostrum_api USING (site_id = app_site_id());
GRANT SELECT, INSERT ON audit_logs TO rostrum_api;

-- Readers stop at the oldest running transaction (xid), so no late commit is skipped.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id bigint NOT NULL,
  kind text NOT NULL,
  subject_id bigint NOT NULL,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX outbox_order ON outbox (xid, id);
CREATE INDEX outbox_age ON outbox USING brin (created_at);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY outbox_of_request ON outbox TO rostrum_api USING (site_id = app_site_id());
GRANT SELECT, INSERT ON outbox TO rostrum_api;

-- Key-encryption keys live outside the database; kek rows hold only their check value.
CREATE TABLE vault_keys (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purpose text NOT NULL CHECK (purpose IN ('kek', 'dek')),
  key_number bigint NOT NULL,                   -- kek: the id of the key file; dek: equals id
  site_id bigint REFERENCES sites (id),
  status text NOT NULL CHECK (status IN ('pending', 'primary', 'decrypt_only', 'disabled', 'destroyed')),
  wrapped bytea,
  wrapped_by bigint,
  kcv bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  activated_at timestamptz,
  retired_at timestamptz,
  CHECK ((purpose = 'kek') = (site_id IS NULL))
);
CREATE UNIQUE INDEX vault_keys_kek ON vault_keys (key_number) WHERE purpose = 'kek';
CREATE UNIQUE INDEX vault_keys_one_primary ON vault_keys (purpose, coalesce(site_id, 0)) WHERE status = 'primary';
ALTER TABLE vault_keys ENABLE ROW LEVEL SECURITY;  -- no policy: the API role sees no key

CREATE TABLE installation (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation DEFAULT VALUES;
