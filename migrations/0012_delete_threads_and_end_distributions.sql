-- Threads are deleted post by post, and distributions tell when they have ended.

-- The first run that deletes; what the runs before it sent is public, what it sends takes that away again.
ALTER TABLE deliveries ADD COLUMN removal_run int;
UPDATE deliveries SET removal_run = run WHERE removal IS NOT NULL;

-- The end of a distribution is the end of the last of its open deliveries, whichever host or person ends it. Two that
-- end at the same moment do not see each other, so the question is asked at the very end of each transaction, one
-- transaction after the other. Asked earlier, a delivery that is about to get a stand-in would look like the last.

-- Notes, for the rest of the transaction, whose deliveries have ended.
CREATE FUNCTION note_ended_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('rostrum.ended', coalesce(current_setting('rostrum.ended', true), '') || e.ids, true)
  FROM (
    SELECT string_agg(DISTINCT n.distribution_id || ' ', '') AS ids
    FROM after_rows n JOIN before_rows o USING (id) WHERE o.ended_as IS NULL AND n.ended_as IS NOT NULL
  ) e
  WHERE e.ids IS NOT NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER deliveries_note_ended AFTER UPDATE ON deliveries
  REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
  FOR EACH STATEMENT EXECUTE FUNCTION note_ended_deliveries();

-- Writes the event of every noted distribution of which nothing is open any more. Its first call in a transaction does
-- it for all of them: who waits for a distribution here holds only those before it, so nobody waits in a circle.
CREATE FUNCTION end_distributions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[] := string_to_array(rtrim(coalesce(current_setting('rostrum.ended', true), '')), ' ')::bigint[];
BEGIN
  IF cardinality(ids) = 0 THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('rostrum.ended', '', true);
  PERFORM FROM distributions g WHERE g.id = ANY(ids) ORDER BY g.id FOR NO KEY UPDATE;
  -- A statement of its own: it sees what those committed who were waited for.
  WITH done AS MATERIALIZED (
    SELECT DISTINCT i.id FROM unnest(ids) AS i(id)
    WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.distribution_id = i.id AND d.ended_as IS NULL)
  )
  INSERT INTO outbox (site_id, kind, subject_id, data)
  SELECT g.site_id, 'distribution.ended', g.id, jsonb_strip_nulls(jsonb_build_object(
    'id', g.id, 'postId', g.post_id, 'deliveries', n.total, 'states', n.states, 'scheduledFor', g.scheduled_for,
    'createdAt', g.created_at, 'endedAt', n.ended_at,
    'durationMs', greatest(0, extract(epoch FROM n.ended_at - greatest(g.created_at, g.scheduled_for)) * 1000)::bigint))
  FROM done JOIN distributions g USING (id)
  CROSS JOIN LATERAL (
    SELECT sum(s.count)::int AS total, jsonb_object_agg(s.ended_as, s.count) AS states, max(s.ended_at) AS ended_at
    FROM (
      SELECT d.ended_as, count(*)::int AS count, max(d.ended_at) AS ended_at
      FROM deliveries d WHERE d.distribution_id = g.id GROUP BY 1
    ) s
  ) n
  ORDER BY g.id;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deliveries_end_distributions AFTER UPDATE OF ended_as ON deliveries
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.ended_as IS NULL AND NEW.ended_as IS NOT NULL)
  EXECUTE FUNCTION end_distributions();
