/// The rights a batch or a transaction runs with.
package enum Scope: Hashable, Sendable {
  /// The connecting role, which owns the schema and sees the rows of all sites.
  case owner
  /// The confined role `rostrum_api`, which sees only the rows of one site.
  case site(Int64)
}
