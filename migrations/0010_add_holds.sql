-- Which database this is, how far it had come when its hosts last looked, and whether they may send.

-- The server and the tables that hosts found at their last look; another server or new tables under the same installation
-- are a copy. NULL until a host looked.
ALTER TABLE installation
  ADD COLUMN system_identifier bigint,
  ADD COLUMN database_oid bigint,
  ADD COLUMN table_oid bigint,
  ADD COLUMN timeline bigint;

-- How far the database had come, as each home saw it, once a second. Each home keeps the same in a file; a database that
-- stands before the file has lost what came between.
CREATE TABLE node_marks (
  home text PRIMARY KEY,
  timeline bigint NOT NULL,
  flushed bigint NOT NULL,                      -- bytes of the write-ahead log that are on the server's disk
  fence bigint NOT NULL,                        -- of the newest claim
  marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);
ALTER TABLE node_marks ENABLE ROW LEVEL SECURITY;  -- no policy: only the host itself reads and writes it

-- While a row has no end, nothing is sent by anybody. Its row is read by the statement that begins a request.
CREATE TABLE holds (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cause text NOT NULL,
  reason text NOT NULL,                         -- for people
  home text NOT NULL,                           -- of the host that noticed
  known_until timestamptz NOT NULL,             -- what happened later may be missing in this database
  held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  doubted_at timestamptz,                       -- deliveries that were due are marked as maybe sent
  ended_at timestamptz,
  ended_as text CHECK (ended_as IN ('adopted', 'released')),
  ended_by text,
  CHECK ((ended_at IS NULL) = (ended_as IS NULL) AND (ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX holds_one_open ON holds ((true)) WHERE ended_at IS NULL;
ALTER TABLE holds ENABLE ROW LEVEL SECURITY;
CREATE POLICY holds_of_all ON holds FOR SELECT TO rostrum_api USING (true);
GRANT SELECT ON holds TO rostrum_api;
