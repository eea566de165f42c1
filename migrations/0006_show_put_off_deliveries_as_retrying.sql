-- A delivery that the platform put off without costing an attempt (a rate limit, an outage) stands in `due` again, later
-- than it was planned for. It is retrying: "pending" would say that nothing was tried yet.
CREATE OR REPLACE VIEW delivery_states WITH (security_invoker = true) AS
SELECT d.id, d.site_id,
  CASE
    WHEN d.ended_as IS NOT NULL THEN d.ended_as
    WHEN l.job_id IS NOT NULL THEN 'sending'
    WHEN u.job_id IS NULL THEN 'queued'
    WHEN u.attempts > 0 OR u.due_at > d.scheduled_for + interval '1 second' THEN 'retrying'
    ELSE 'pending'
  END AS state,
  u.due_at AS due_at
FROM deliveries d
LEFT JOIN leases l ON d.ended_as IS NULL AND l.job_id = d.id
LEFT JOIN due u ON d.ended_as IS NULL AND u.job_id = d.id;
