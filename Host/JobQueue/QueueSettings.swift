/// How the queue of a node works.
package struct QueueSettings: Sendable {
  /// Names the node for people, such as a data folder.
  package var home: String
  /// Handlers that run at the same time.
  package var slots = 64
  /// The longest time between two looks at the database.
  package var pollInterval: Duration = .seconds(1)
  package var retry = RetryPolicy()
  package var heartbeatInterval: Duration = .seconds(3)
  /// A node stops claiming when its heartbeat could not be written for this long.
  package var heartbeatLimit: Duration = .seconds(9)
  /// Peers with an older heartbeat are taken for dead or cut off.
  package var deadAfter: Duration = .seconds(12)
  /// How often a node looks for dead peers.
  package var rescueInterval: Duration = .milliseconds(400)
  /// After a start of the server every advisory lock is free, so a free lock says nothing for this long.
  package var serverStartGrace: Duration = .seconds(10)
  /// How long after a node's death its unfinished commits are checked.
  package var rescueCheckDelay: Duration = .seconds(10)
  package var auditInterval: Duration = .seconds(30)
  /// How long the history of attempts is kept; nil keeps it for ever.
  package var historyRetention: Duration? = .seconds(400 * 86_400)
  /// The shortest time between two notifications to other nodes.
  package var notifyInterval: Duration = .milliseconds(10)
  /// How long before its due time a job may be promoted and claimed; its handler waits for that time.
  ///
  /// What promoting and claiming take costs no lateness then, and jobs that are due close together share it.
  package var lookahead: Duration = .milliseconds(10)
  /// The shortest time between two promotions that find something, so that jobs due close together share one.
  package var promotionGap: Duration = .milliseconds(2)
  /// Jobs moved by one promotion.
  package var promotionLimit = 2_000

  package init(home: String) {
    self.home = home
  }
}
