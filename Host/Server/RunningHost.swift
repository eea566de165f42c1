package import Identity
package import Postgres

/// What is known of a host that is ready to serve.
package struct RunningHost: Sendable {
  /// The address of the API on this machine.
  package let url: String
  package let port: UInt16
  package let pool: Pool
  package let users: UserStore
  package let tokens: TokenStore
}
