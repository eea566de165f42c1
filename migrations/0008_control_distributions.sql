-- What people do to distributions and deliveries after they were accepted.

-- replaces_id: the delivery to another account that this one was sent instead of. by_hand: a person posted it.
-- removal: what became of the wish to delete the post on its platform. bodies_dropped: retention has been here.
ALTER TABLE deliveries
  ADD COLUMN replaces_id bigint REFERENCES deliveries (id),
  ADD COLUMN by_hand boolean NOT NULL DEFAULT false,
  ADD COLUMN removal text CHECK (removal IN ('asked', 'removed', 'failed')),
  ADD COLUMN removed_at timestamptz,
  ADD COLUMN removal_error jsonb,
  ADD COLUMN bodies_dropped boolean NOT NULL DEFAULT false;

-- One stand-in at a time for a delivery; one that failed or was withdrawn makes room for the next.
CREATE INDEX deliveries_replaces ON deliveries (replaces_id) WHERE replaces_id IS NOT NULL;
CREATE UNIQUE INDEX deliveries_stand_in ON deliveries (replaces_id)
  WHERE replaces_id IS NOT NULL AND coalesce(ended_as, 'open') NOT IN ('failed', 'canceled');
CREATE INDEX deliveries_open ON deliveries (connection_id, id) WHERE ended_as IS NULL;
CREATE INDEX deliveries_end_time ON deliveries USING brin (ended_at);

-- Where a post is, by the rule's template, known with the outcome itself.
ALTER TABLE delivery_effects ADD COLUMN remote_url text;

-- What each delivery says, as a digest, for the guard against saying it twice. Its own narrow table, so that the ends
-- of deliveries do not write another index; rows go when no guard can ask for them any more.
CREATE TABLE delivery_contents (
  delivery_id bigint PRIMARY KEY REFERENCES deliveries (id),
  site_id bigint NOT NULL,
  lane_id bigint NOT NULL,
  digest bytea NOT NULL CHECK (length(digest) = 32),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX delivery_contents_digest ON delivery_contents (lane_id, digest);
CREATE INDEX delivery_contents_age ON delivery_contents USING brin (created_at);
ALTER TABLE delivery_contents ENABLE ROW LEVEL SECURITY;
CREATE POLICY delivery_contents_of_request ON delivery_contents TO rostrum_api USING (site_id = app_site_id());
GRANT SELECT ON delivery_contents TO rostrum_api;

-- Refuses what one of the accounts has said, or is about to say, within the reach of the instant.
--
-- Each content of an account is locked until the end of the transaction, so that of two transactions with the same one
-- exactly one goes on. Every statement of the body sees what was committed before it, so the second one finds the
-- first. The error's column is the number of the earlier delivery.
CREATE FUNCTION refuse_repeated_content(lanes bigint[], digests bytea[], at timestamptz, reach interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  earlier bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(8, k.key) FROM (
    SELECT DISTINCT hashtext(t.lane_id || ':' || encode(t.digest, 'hex')) AS key
    FROM unnest(lanes, digests) AS t(lane_id, digest) ORDER BY 1
  ) k;
  SELECT d.id INTO earlier
  FROM unnest(lanes, digests) AS t(lane_id, digest)
  JOIN delivery_contents c ON c.lane_id = t.lane_id AND c.digest = t.digest
  JOIN deliveries d ON d.id = c.delivery_id
  CROSS JOIN LATERAL (SELECT coalesce(d.ended_at, greatest(d.scheduled_for, now())) AS said_at) s
  WHERE (d.ended_as IS NULL OR d.ended_as IN ('sent', 'partial', 'unconfirmed')) AND d.removal IS DISTINCT FROM 'removed'
    AND s.said_at > at - reach AND s.said_at < at + reach
  ORDER BY d.id DESC LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'delivery % has the same content', earlier
      USING ERRCODE = 'RS001', CONSTRAINT = 'content_guard', COLUMN = earlier::text;
  END IF;
END $$;

-- Site 0 is the host as a whole and user 0 the command line: making a site needs a key too.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_site_id_fkey;
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_user_id_fkey;
