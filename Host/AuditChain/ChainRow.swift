internal import Cryptography
internal import Postgres

/// What a row of the audit trail says, as it goes into its hash.
package struct ChainRow: Sendable, Equatable {
  package var id: Int64
  /// The number of the transaction that wrote it; rows of one change share it.
  package var transaction: Int64
  /// Microseconds since 1970.
  package var at: Int64
  package var site: Int64?
  package var user: Int64?
  package var action: String
  package var subject: String
  /// As the database prints it, which is one form for one value.
  package var details: String
  package var address: String?
  package var userAgent: String?

  package init(
    id: Int64,
    transaction: Int64,
    at: Int64,
    site: Int64?,
    user: Int64?,
    action: String,
    subject: String,
    details: String,
    address: String?,
    userAgent: String?
  ) {
    self.id = id
    self.transaction = transaction
    self.at = at
    self.site = site
    self.user = user
    self.action = action
    self.subject = subject
    self.details = details
    self.address = address
    self.userAgent = userAgent
  }

  /// The columns that ``init(_:)`` reads, for a statement over `audit_logs a`.
  static let columns: SQL = """
    a.id, a.xid::text::bigint AS transaction, (extract(epoch FROM a.created_at) * 1000000)::bigint AS at, a.site_id,
    a.user_id, a.action, a.subject, a.details::text AS details, a.address, a.user_agent
    """

  init(_ row: Row) throws(PostgresError) {
    id = try row.get("id")
    transaction = try row.get("transaction")
    at = try row.get("at")
    site = try row.get("site_id")
    user = try row.get("user_id")
    action = try row.get("action")
    subject = try row.get("subject")
    details = try row.get("details")
    address = try row.get("address")
    userAgent = try row.get("user_agent")
  }

  /// The bytes of a row at its place in the chain, see ``ChainBytes``. Pinned by known answers: changing them breaks
  /// every chain that exists.
  package func canonical(seq: Int64, previous: [UInt8]) -> [UInt8] {
    var bytes = ChainBytes()
    bytes.add("rostrum.audit.row.v1")
    bytes.add(seq)
    bytes.add(previous)
    bytes.add(id)
    bytes.add(transaction)
    bytes.add(at)
    bytes.add(site)
    bytes.add(user)
    bytes.add(action)
    bytes.add(subject)
    bytes.add(details)
    bytes.add(address)
    bytes.add(userAgent)
    return bytes.encoded
  }

  /// The hash that the next row names.
  package func hash(seq: Int64, previous: [UInt8]) -> [UInt8] {
    SHA256.digest(canonical(seq: seq, previous: previous))
  }
}
