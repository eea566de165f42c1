import Postgres

/// What SQL knows of the posts of a thread; the same as ``EndPolicy/parts`` against ``JournalState/published``.
///
/// Each takes the name of a table of deliveries. Runs that delete count for nothing here.
enum ThreadParts {
  /// A condition: fewer posts are out than the delivery's newest run has.
  static func areMissing(of deliveries: StaticString) -> SQL {
    "greatest(1, \(fragment: published(of: deliveries))) < \(fragment: parts(of: deliveries))"
  }

  /// How many posts the delivery's newest run has: 1, or those of a thread.
  static func parts(of deliveries: StaticString) -> SQL {
    """
    coalesce((SELECT 1 + coalesce(jsonb_array_length(n.variant->'segments'), 0) FROM delivery_inputs n
      WHERE n.delivery_id = \(trusted: deliveries).id AND \(fragment: publishes("n", deliveries))
      ORDER BY n.run DESC LIMIT 1), 1)::bigint
    """
  }

  /// How many posts are out.
  static func published(of deliveries: StaticString) -> SQL {
    """
    (SELECT count(DISTINCT p.step) FROM delivery_effects p
      WHERE p.delivery_id = \(trusted: deliveries).id AND p.class = 'commit' AND p.outcome = 'accepted'
        AND \(fragment: publishes("p", deliveries)))
    """
  }

  /// The value for the column `segments`: what it holds, and behind that the posts of a thread that only the journal
  /// knows, because a look-up, a person or a late answer told of them.
  static func posts(of deliveries: StaticString) -> SQL {
    """
    (SELECT CASE
        WHEN \(fragment: parts(of: deliveries)) = 1 OR count(p.remote_id) <= jsonb_array_length(k.known)
          THEN \(trusted: deliveries).segments
        ELSE k.known || jsonb_agg(
          jsonb_strip_nulls(jsonb_build_object('remoteId', p.remote_id, 'url', p.remote_url)) ORDER BY p.started_at)
          FILTER (WHERE NOT k.known @> jsonb_build_array(jsonb_build_object('remoteId', p.remote_id))) END
      FROM (SELECT coalesce(\(trusted: deliveries).segments, '[]') AS known) k
      LEFT JOIN (
        SELECT e.delivery_id, e.remote_id, min(e.remote_url) AS remote_url, min(e.started_at) AS started_at
        FROM delivery_effects e
        WHERE e.class = 'commit' AND e.outcome = 'accepted' AND e.remote_id IS NOT NULL
          AND \(fragment: publishes("e", deliveries)) AND e.delivery_id = \(trusted: deliveries).id
        GROUP BY 1, 2
      ) p ON true
      GROUP BY k.known)
    """
  }

  private static func publishes(_ rows: StaticString, _ deliveries: StaticString) -> SQL {
    "(\(trusted: deliveries).removal_run IS NULL OR \(trusted: rows).run < \(trusted: deliveries).removal_run)"
  }
}
