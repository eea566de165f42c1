-- The audit trail becomes a chain: a leader gives each row a number, the hash of the row before and a code under a key
-- that is not in the database.
ALTER TABLE audit_logs
  ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  ADD COLUMN seq bigint CHECK (seq > 0),         -- NULL: not sealed yet
  ADD COLUMN prev_hash bytea,
  ADD COLUMN hash bytea,
  ADD COLUMN mac bytea,
  ADD COLUMN mac_key bigint,                     -- key_number of vault_keys, purpose audit
  ADD CONSTRAINT audit_logs_sealed_whole CHECK (num_nulls(seq, prev_hash, hash, mac, mac_key) IN (0, 5));
CREATE UNIQUE INDEX audit_logs_seq ON audit_logs (seq) WHERE seq IS NOT NULL;
-- Which rows are left is what the rows say, so that there is no place to lose.
CREATE INDEX audit_logs_unsealed ON audit_logs (xid, id) WHERE seq IS NULL;
CREATE INDEX audit_logs_user ON audit_logs (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_logs_subject ON audit_logs (subject, id);

-- Requests say what happened; number, time and seal are not theirs to say.
REVOKE INSERT ON audit_logs FROM rostrum_api;
GRANT INSERT (site_id, user_id, action, subject, details, address, user_agent) ON audit_logs TO rostrum_api;

-- The run in which an attempt that was put off used the credentials; the end of the run tells the audit trail.
ALTER TABLE deliveries ADD COLUMN credential_run int;

-- How far the chain has come, signed. Whoever seals holds the row's lock.
CREATE TABLE audit_state (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  seq bigint NOT NULL DEFAULT 0,
  hash bytea,                                    -- NULL: nothing is sealed yet
  made_at timestamptz,
  key_number bigint,
  signature bytea
);
INSERT INTO audit_state DEFAULT VALUES;
ALTER TABLE audit_state ENABLE ROW LEVEL SECURITY;  -- no policy here and below: the API role sees no head

-- Signed heads of the chain. A checkpoint is where the chain begins after older rows were removed.
CREATE TABLE audit_heads (
  is_checkpoint boolean NOT NULL DEFAULT false,
  seq bigint NOT NULL CHECK (seq > 0),
  hash bytea NOT NULL,
  made_at timestamptz NOT NULL,
  key_number bigint NOT NULL,
  signature bytea NOT NULL,
  PRIMARY KEY (is_checkpoint, seq)
);
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;

-- Rows of the trail are sealed once, and removed only behind a checkpoint; nothing else happens to them.
CREATE FUNCTION guard_audit_logs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  bare audit_logs;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    bare := NEW;
    bare.seq := NULL;
    bare.prev_hash := NULL;
    bare.hash := NULL;
    bare.mac := NULL;
    bare.mac_key := NULL;
    IF NEW.seq IS NOT NULL AND bare IS NOT DISTINCT FROM OLD THEN RETURN NEW; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM audit_heads h WHERE h.is_checkpoint AND h.seq >= OLD.seq) THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION 'the audit trail is not changed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_logs_guard BEFORE UPDATE OR DELETE ON audit_logs
  FOR EACH ROW EXECUTE FUNCTION guard_audit_logs();
CREATE TRIGGER audit_logs_guard_all BEFORE TRUNCATE ON audit_logs
  FOR EACH STATEMENT EXECUTE FUNCTION guard_audit_logs();

CREATE FUNCTION guard_audit_heads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'heads of the audit trail are not changed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_heads_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION guard_audit_heads();

-- Removes rows up to a number, `piece` at a time, and leaves the checkpoint behind which the chain goes on. Returns how
-- many rows were removed.
CREATE FUNCTION prune_audit_logs(
  last bigint, last_hash bytea, made timestamptz, signing_key bigint, signed bytea, piece int
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  removed int;
BEGIN
  INSERT INTO audit_heads (is_checkpoint, seq, hash, made_at, key_number, signature)
  SELECT true, a.seq, a.hash, made, signing_key, signed FROM audit_logs a WHERE a.seq = last AND a.hash = last_hash
  ON CONFLICT DO NOTHING;
  IF NOT EXISTS (SELECT FROM audit_heads h WHERE h.is_checkpoint AND h.seq = last AND h.hash = last_hash) THEN
    RAISE EXCEPTION 'no row % of the audit trail has this hash', last USING ERRCODE = 'no_data_found';
  END IF;
  DELETE FROM audit_logs WHERE id IN (SELECT a.id FROM audit_logs a WHERE a.seq <= last ORDER BY a.seq LIMIT piece);
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END $$;

-- The key of the chain: made once, sealed with the key of the hosts, so that a change of that one keeps old rows
-- checkable.
ALTER TABLE vault_keys DROP CONSTRAINT vault_keys_purpose_check;
ALTER TABLE vault_keys ADD CONSTRAINT vault_keys_purpose_check CHECK (purpose IN ('kek', 'dek', 'audit'));
ALTER TABLE vault_keys DROP CONSTRAINT vault_keys_check;
ALTER TABLE vault_keys ADD CONSTRAINT vault_keys_check CHECK ((purpose = 'dek') = (site_id IS NOT NULL));
