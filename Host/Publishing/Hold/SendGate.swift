import Postgres

/// The one gate before everything that leaves on its own: nobody has put the installation on hold, and the statement runs
/// on the server that this node has examined. After every new start of a server, and on every other server, it is shut
/// until the node has looked again.
enum SendGate {
  /// A condition for the statement that notes what is about to leave.
  ///
  /// - Parameter server: The examined run of the server, see ``SendPermit/server``.
  static func isOpen(server: Int64?) -> SQL {
    let isFree: SQL = "NOT EXISTS (SELECT FROM holds h WHERE h.ended_at IS NULL)"
    guard let server else { return isFree }
    return "\(fragment: isFree) AND \(fragment: ServerExpression.startedAt) = \(server)"
  }
}
