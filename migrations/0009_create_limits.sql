-- Limits: pools inside pools, why something stands still, breakers, and the operator's own limits.

-- A pool inside another one is bound by both. While probe_for is set, whoever claims from the pool takes one job and
-- blocks it for that long: the job finds out whether the rest may go.
ALTER TABLE lane_pools
  ADD COLUMN parent_id bigint REFERENCES lane_pools,
  ADD COLUMN probe_for interval CHECK (probe_for > '0'),
  ADD COLUMN block_reason text;

-- Why blocked_until is what it is.
ALTER TABLE lanes ADD COLUMN block_reason text;

-- The pools of the host as a whole are nobody's secret.
DROP POLICY lane_pools_of_request ON lane_pools;
CREATE POLICY lane_pools_of_request ON lane_pools FOR SELECT TO rostrum_api
  USING (site_id = app_site_id() OR site_id = 0);

-- Breakers that are not closed; connection 0 is the platform as a whole. After open_until one job at a time goes out
-- and decides. trips counts how often it opened since it was last closed.
CREATE TABLE breakers (
  platform text NOT NULL,
  connection_id bigint NOT NULL DEFAULT 0,
  site_id bigint NOT NULL DEFAULT 0,
  trips integer NOT NULL CHECK (trips > 0),
  opened_at timestamptz NOT NULL,
  open_until timestamptz NOT NULL,
  last_error text NOT NULL,
  -- When the event was written that says it stays open.
  reported_at timestamptz,
  PRIMARY KEY (platform, connection_id)
);
ALTER TABLE breakers ENABLE ROW LEVEL SECURITY;
CREATE POLICY breakers_of_request ON breakers FOR SELECT TO rostrum_api
  USING (site_id = app_site_id() OR connection_id = 0);
GRANT SELECT ON breakers TO rostrum_api;

-- Limits that an operator set instead of the plugin's; without numbers there is none. Connection 0 is the platform.
CREATE TABLE limit_overrides (
  platform text NOT NULL,
  connection_id bigint NOT NULL DEFAULT 0,
  scope text NOT NULL CHECK (scope IN ('perAccount', 'perSite', 'perApp')),
  site_id bigint NOT NULL DEFAULT 0,
  request_count integer CHECK (request_count > 0),
  window_seconds integer CHECK (window_seconds > 0),
  set_by bigint REFERENCES users (id) ON DELETE SET NULL,
  set_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (platform, connection_id, scope),
  CHECK ((request_count IS NULL) = (window_seconds IS NULL)),
  CHECK (connection_id = 0 OR scope = 'perAccount')
);
ALTER TABLE limit_overrides ENABLE ROW LEVEL SECURITY;
CREATE POLICY limit_overrides_of_request ON limit_overrides FOR SELECT TO rostrum_api
  USING (site_id = app_site_id() OR connection_id = 0);
GRANT SELECT ON limit_overrides TO rostrum_api;

-- One answer can report several limits; place is the number of the set of headers in the manifest. warned_for is the
-- end of the window for which the warning was given.
ALTER TABLE rate_limit_tracking
  ADD COLUMN place smallint NOT NULL DEFAULT 0,
  ADD COLUMN scope text NOT NULL DEFAULT 'perAccount',
  ADD COLUMN warned_for timestamptz,
  DROP CONSTRAINT rate_limit_tracking_pkey,
  ADD PRIMARY KEY (connection_id, rule, place);
