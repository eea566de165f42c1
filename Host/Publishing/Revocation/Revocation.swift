package import FoundationEssentials
package import JSONDocument
import Postgres

/// An order that credentials must not be used any more.
package struct Revocation: Sendable, Equatable {
  /// Whose credentials.
  package enum Scope: Sendable, Equatable {
    case connection(Int64)
    case site(Int64)
    /// By the manifest's id.
    case platform(String)
    case all

    /// The names of the scopes.
    package static let kinds = ["connection", "site", "platform", "all"]

    package var kind: String {
      switch self {
      case .connection: "connection"
      case .site: "site"
      case .platform: "platform"
      case .all: "all"
      }
    }

    /// What the name is followed by; empty for all.
    package var subject: String {
      switch self {
      case .connection(let id), .site(let id): "\(id)"
      case .platform(let id): id
      case .all: ""
      }
    }

    /// The condition over `c`, a row of `platform_connections`.
    var condition: SQL {
      switch self {
      case .connection(let id): "c.id = \(id)"
      case .site(let id): "c.site_id = \(id)"
      case .platform(let id): "c.platform = \(id)"
      case .all: "true"
      }
    }

    /// Reads a scope by its name and what follows it; nil when the two do not go together.
    package init?(kind: String, subject: String) {
      switch (kind, Int64(subject)) {
      case ("connection", let id?): self = .connection(id)
      case ("site", let id?): self = .site(id)
      case ("platform", _): self = .platform(subject)
      case ("all", _): self = .all
      default: return nil
      }
    }
  }

  package let id: Int64
  package let scope: Scope
  package let reason: String
  package let createdAt: Date
  /// When every connection was marked and its credentials were wiped; they are out of use since `createdAt`.
  package let endedAt: Date?
  /// Connections that it met so far.
  package let connections: Int64
  /// Those whose platform has not answered yet; a running host goes on asking.
  package let asked: Int64
  /// Those whose platform revoked the credentials too.
  package let revoked: Int64
  /// Those whose platform has no way to revoke them; a person can do it there.
  package let unsupported: Int64
  /// Those whose platform did not do it.
  package let failed: Int64

  static let columns: SQL = """
    r.id, r.scope, r.subject, r.reason, r.created_at, r.ended_at,
    count(i.connection_id) AS connections, count(*) FILTER (WHERE i.outcome = 'asked') AS asked,
    count(*) FILTER (WHERE i.outcome = 'revoked') AS revoked,
    count(*) FILTER (WHERE i.outcome = 'unsupported') AS unsupported,
    count(*) FILTER (WHERE i.outcome = 'failed') AS failed
    """

  init(_ row: Row) throws {
    id = try row.get("id")
    let (kind, subject): (String, String) = (try row.get("scope"), try row.get("subject"))
    guard let scope = Scope(kind: kind, subject: subject) else {
      throw PublishingError(.unavailable, "bad_revocation", "The revocation \(id) can not be read")
    }
    self.scope = scope
    reason = try row.get("reason")
    createdAt = try row.get("created_at")
    endedAt = try row.get("ended_at")
    connections = try row.get("connections")
    asked = try row.get("asked")
    revoked = try row.get("revoked")
    unsupported = try row.get("unsupported")
    failed = try row.get("failed")
  }

  package var json: JSONValue {
    [
      "id": .int(id), "scope": .string(scope.kind), "subject": .string(scope.subject), "reason": .string(reason),
      "createdAt": .string(RFC3339.format(createdAt)),
      "endedAt": endedAt.map { .string(RFC3339.format($0)) } ?? .null, "connections": .int(connections),
      "asked": .int(asked), "revoked": .int(revoked), "unsupported": .int(unsupported), "failed": .int(failed),
    ]
  }
}
