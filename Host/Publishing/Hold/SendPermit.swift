internal import Synchronization

/// What this node knows of its right to send: which run of the database server it has examined, and whether anybody put
/// the installation on hold.
///
/// The statement that begins a request has the last word; this only spares work that it would refuse.
package final class SendPermit: Sendable {
  private struct State {
    var server: Int64?
    var isHeld = false
  }

  private let state: Mutex<State>

  /// - Parameter server: The examined run of the server; nil lets every server pass, for tools and tests without a mark.
  private init(server: Int64?) {
    state = Mutex(State(server: server))
  }

  /// A permit of a node that has not examined its database yet.
  package static var unexamined: SendPermit { SendPermit(server: 0) }

  /// A permit that is bound to no server.
  package static var unbound: SendPermit { SendPermit(server: nil) }

  /// When the examined server was started, in microseconds since 1970; 0 before one was examined, nil for any.
  package var server: Int64? { state.withLock(\.server) }

  /// Whether nothing may be sent.
  package var isHeld: Bool { state.withLock { $0.isHeld || $0.server == 0 } }

  /// Notes the server that was examined, or 0 for none.
  package func examined(server: Int64) {
    state.withLock { $0.server = server }
  }

  package func hold(_ isHeld: Bool) {
    state.withLock { $0.isHeld = isHeld }
  }
}
