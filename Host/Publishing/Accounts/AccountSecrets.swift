import Cryptography
import Egress

/// The credentials of one account for the gate; plugins never see them. None is given out after it was revoked.
struct AccountSecrets: SecretSource {
  let account: Account
  let revocations: RevocationBoard
  /// Told that the database could not be asked.
  var databaseLost: @Sendable () -> Void = {}
  /// Told that a secret is given out for a request.
  var used: @Sendable () -> Void = {}

  func secret(_ name: String, for scope: EgressScope) async throws -> Secret {
    guard scope.connection == account.connectionID, scope.site == account.siteID else {
      throw EgressError(.capabilityDenied, "The request is for another account")
    }
    try await requireUse()
    guard let secret = account.secrets[name], !secret.isEmpty else {
      throw EgressError(.authExpired, "The account has no “\(name)”; connect it again")
    }
    used()
    return secret
  }

  func all(for scope: EgressScope) async throws -> [Secret] {
    guard scope.connection == account.connectionID, scope.site == account.siteID else { return [] }
    return Array(account.secrets.values)
  }

  private func requireUse() async throws {
    let isRevoked: Bool
    do {
      isRevoked = try await revocations.isRevoked(account)
    } catch {
      databaseLost()
      throw error
    }
    if isRevoked { throw EgressError(.authRevoked, AccountError.revoked.description) }
  }
}
