-- Plugin bundles, the sets of versions that hosts run, and what happened to them. For the operator alone: no row belongs
-- to a site, so the confined role sees none of it.

CREATE TABLE plugin_bundles (
  digest text PRIMARY KEY CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),  -- of the signed manifest
  plugin text NOT NULL,
  version text NOT NULL,
  publisher text NOT NULL,                      -- key:ed25519:…
  content text NOT NULL,                        -- digest that is the same whoever signs
  manifest bytea NOT NULL,                      -- the signed bytes
  signature bytea NOT NULL,
  bytes bigint NOT NULL CHECK (bytes > 0),
  source text NOT NULL,                         -- file, folder or address it came from
  is_first_party boolean NOT NULL DEFAULT false,  -- came with the host itself
  approved_by text,                             -- NULL: its grants wait for approval
  approved_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);
CREATE INDEX plugin_bundles_plugin ON plugin_bundles (plugin, created_at);
CREATE INDEX plugin_bundles_content ON plugin_bundles (content);

-- The bundle's file in pieces of 1 MiB.
CREATE TABLE plugin_bundle_parts (
  digest text NOT NULL REFERENCES plugin_bundles (digest) ON DELETE CASCADE,
  part int NOT NULL CHECK (part >= 0),
  content bytea NOT NULL,
  PRIMARY KEY (digest, part)
);
ALTER TABLE plugin_bundle_parts ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE plugins (
  id text PRIMARY KEY,
  waiting text REFERENCES plugin_bundles (digest),  -- a version whose grants nobody has approved yet
  installed_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz                        -- removed by a person: a start of the host does not bring it back
);

-- A generation is the whole set of versions that hosts run; it never changes.
CREATE TABLE plugin_generations (
  number bigint PRIMARY KEY,
  reason text NOT NULL,
  made_by text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE plugin_pins (
  generation bigint NOT NULL REFERENCES plugin_generations (number) ON DELETE CASCADE,
  plugin text NOT NULL,
  digest text NOT NULL REFERENCES plugin_bundles (digest),
  PRIMARY KEY (generation, plugin)
);
CREATE INDEX plugin_pins_digest ON plugin_pins (digest);
CREATE TRIGGER plugin_pins_immutable BEFORE UPDATE ON plugin_pins FOR EACH ROW EXECUTE FUNCTION refuse_change();

INSERT INTO plugin_generations (number, reason, made_by) VALUES (0, 'nothing is installed', 'the host');

-- The one place that says what runs. Every change locks this row first.
CREATE TABLE plugin_state (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  generation bigint NOT NULL REFERENCES plugin_generations (number)
);
INSERT INTO plugin_state (generation) VALUES (0);

CREATE TABLE plugin_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  plugin text NOT NULL,
  version text,
  kind text NOT NULL,
  message text NOT NULL,                        -- for people
  details jsonb NOT NULL DEFAULT '{}',
  made_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX plugin_events_plugin ON plugin_events (plugin, id);
