-- Passwords, sessions and one-time links. None belongs to a site, and the API's role sees none of them.
CREATE TABLE user_passwords (
  user_id bigint PRIMARY KEY REFERENCES users (id),
  phc text NOT NULL,                            -- $scrypt$ln=…,r=…,p=…$salt$hash
  changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id),
  token_hash bytea NOT NULL UNIQUE,             -- SHA-256 of 32 random bytes; the cookie itself is never stored
  previous_hash bytea,                          -- what it was before the last rotation, for requests already on their way
  rotated_at timestamptz NOT NULL DEFAULT now(),
  needs_rotation boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  address text,
  user_agent text
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_previous ON sessions (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX sessions_use ON sessions (last_used_at);

CREATE TABLE sign_in_links (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- A link of a user lets that user choose a password; one of a site makes whoever holds it a member; one of neither
  -- makes the first user.
  user_id bigint REFERENCES users (id),
  site_id bigint REFERENCES sites (id),
  role text CHECK (role IN ('owner', 'admin', 'editor', 'author', 'viewer')),
  email text,                                   -- who is invited
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CHECK (user_id IS NULL OR site_id IS NULL),
  CHECK ((site_id IS NULL) = (role IS NULL) AND (site_id IS NULL) = (email IS NULL))
);
ALTER TABLE sign_in_links ENABLE ROW LEVEL SECURITY;  -- no policy: the API role sees no link
CREATE INDEX sign_in_links_user ON sign_in_links (user_id);

-- A token may be limited to several sites and to some permissions.
ALTER TABLE api_tokens ADD COLUMN site_ids bigint[], ADD COLUMN scopes text[];
UPDATE api_tokens SET site_ids = ARRAY[site_id] WHERE site_id IS NOT NULL;
DROP POLICY api_tokens_of_request ON api_tokens;
ALTER TABLE api_tokens DROP COLUMN site_id;    -- NULL in site_ids: every site of the user
CREATE POLICY api_tokens_of_request ON api_tokens TO rostrum_api USING (app_site_id() = ANY (site_ids));

-- Systems whose signed tokens let their people into a site.
CREATE TABLE token_issuers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id bigint NOT NULL REFERENCES sites (id),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  issuer text NOT NULL,
  audience text NOT NULL,
  jwks_url text,
  sealed_secret bytea,
  key_id bigint,
  role_claim text NOT NULL,
  roles jsonb NOT NULL,
  default_role text CHECK (default_role IN ('admin', 'editor', 'author', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((jwks_url IS NULL) = (sealed_secret IS NOT NULL) AND (sealed_secret IS NULL) = (key_id IS NULL))
);
CREATE INDEX token_issuers_issuer ON token_issuers (issuer);
CREATE INDEX token_issuers_site ON token_issuers (site_id);
CREATE INDEX token_issuers_key ON token_issuers (key_id) WHERE key_id IS NOT NULL;  -- for changes of keys
ALTER TABLE token_issuers ENABLE ROW LEVEL SECURITY;  -- no policy: the API role sees no secret

CREATE TABLE user_identities (
  issuer_id bigint NOT NULL REFERENCES token_issuers (id) ON DELETE CASCADE,
  subject text NOT NULL,
  user_id bigint NOT NULL REFERENCES users (id),
  PRIMARY KEY (issuer_id, subject)
);
CREATE INDEX user_identities_user ON user_identities (user_id);
