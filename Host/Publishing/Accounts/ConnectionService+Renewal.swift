import FoundationEssentials
import PluginHost
import PluginManifest
package import Postgres

extension ConnectionService {
  /// Renews the token of a connection because a person asks for it.
  ///
  /// - Throws: `PublishingError` in words for that person when there is nothing to renew, or it does not work.
  package func renew(_ id: Int64, site: Int64) async throws {
    let rows = try await pool.query(
      "SELECT generation FROM platform_connections WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL"
    )
    guard let generation = try rows.first?.get(0, as: Int64.self) else {
      throw PublishingError.notFound("connection", id)
    }
    switch await renewer.renew(id, seen: generation, cause: .asked) {
    case .current: return
    case .impossible(let why): throw PublishingError(.conflict, "nothing_to_renew", why)
    case .dead(let why): throw PublishingError(.refusedByPlatform, "connect_again", why + ". Connect the account again")
    case .keep(let end):
      let until = end.map { " (\($0.formatted(.iso8601)))" } ?? ""
      throw PublishingError(
        .conflict,
        "answer_lost",
        "The answer to an earlier renewal was lost. The present token is used until it ends\(until), then there is "
          + "another try; to be safe before that, connect the account again"
      )
    case .later(let wait, .application, let why):
      throw PublishingError(.refusedByPlatform, "application_refused", Self.words(why, wait))
    case .later(let wait, .passing, let why):
      throw PublishingError(.unavailable, "platform_unavailable", Self.words(why, wait))
    }
  }

  private static func words(_ why: String, _ wait: Duration) -> String {
    "The token was not renewed: \(why). The next try comes by itself in \(wait.components.seconds) s or later"
  }

  /// Disconnects an account: its credentials are out of use at once and are ended at the platform, its history stays.
  ///
  /// - Returns: what the platform did so far; what is pending goes on by itself.
  package func disconnect(_ id: Int64, site: Int64, audit: SQL) async throws -> RevocationOutcome {
    let change: SQL = """
      WITH b AS (
        SELECT id, site_id, platform, app_id, origin, generation, sealed_credentials, key_id, token_issued_at
        FROM platform_connections WHERE id = \(id) AND site_id = \(site) AND deleted_at IS NULL FOR UPDATE
      ), c AS (
        UPDATE platform_connections c SET deleted_at = now(), updated_at = now(), status = 'revoked',
          sealed_credentials = '', generation = c.generation + 1
        FROM b WHERE c.id = b.id RETURNING c.id, c.site_id, c.platform
      ), \(fragment: PlatformRevocations.moving(revocation: nil)), o AS (
        \(fragment: Self.changed("revoked"))
      )
      SELECT moved.id AS moved FROM c LEFT JOIN moved ON moved.connection_id = c.id
      """
    let row = try await pool.transaction(scope: .owner) { tx in
      guard let row = try await tx.query(change).first else { throw PublishingError.notFound("connection", id) }
      try await tx.execute(audit)
      return row
    }
    cache.forget(id)
    guard let moved = try row.get("moved", as: Int64?.self) else { return .unsupported }
    return await first(moved)
  }

  /// How long somebody who disconnects an account waits for the platform.
  private static let patience: Duration = .seconds(3)

  /// Asks the platform right away; whoever waits for it is let go after a moment, and the row keeps the rest.
  private func first(_ moved: Int64) async -> RevocationOutcome {
    let (outcomes, ended) = AsyncStream.makeStream(of: RevocationOutcome.self)
    let revocations = revocations
    Task {
      // What goes wrong here is tried again by the row.
      if let outcome = try? await revocations.attempt(moved) { ended.yield(outcome) }
      ended.finish()
    }
    let timer = Task {
      // Cancelled when the answer is there.
      try? await Task.sleep(for: Self.patience)
      ended.finish()
    }
    defer { timer.cancel() }
    for await outcome in outcomes { return outcome }
    return .pending
  }
}
