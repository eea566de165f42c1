-- Origins that people confirm, and what the host takes out of the platforms' answers.

-- Scheme, host and port that the user typed when connecting; rules with account.origin go there and nowhere else.
ALTER TABLE platform_connections ADD COLUMN origin text;
GRANT SELECT (origin) ON platform_connections TO rostrum_api;

-- Tokens and upload addresses out of answers, sealed; written in one transaction with the outcome they came with. Plugins
-- know them as capture:<step>/<name>. Nobody but the host reads them.
CREATE TABLE delivery_captures (
  delivery_id bigint NOT NULL,
  run int NOT NULL,
  step text NOT NULL,
  name text NOT NULL,
  try int NOT NULL,
  site_id bigint NOT NULL REFERENCES sites (id),
  kind text NOT NULL CHECK (kind IN ('secret', 'url')),
  sealed bytea NOT NULL,
  key_id bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (delivery_id, run, step, name)
);
CREATE INDEX delivery_captures_key ON delivery_captures (key_id);
ALTER TABLE delivery_captures ENABLE ROW LEVEL SECURITY;
CREATE POLICY delivery_captures_of_request ON delivery_captures TO rostrum_api USING (site_id = app_site_id());
