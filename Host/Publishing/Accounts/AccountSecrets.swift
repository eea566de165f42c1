import Cryptography
import Egress

/// The credentials of one account for the gate; plugins never see them.
struct AccountSecrets: SecretSource {
  let account: Account

  func secret(_ name: String, for scope: EgressScope) async throws -> Secret {
    guard scope.connection == account.connectionID, scope.site == account.siteID else {
      throw EgressError(.capabilityDenied, "The request is for another account")
    }
    guard let secret = account.secrets[name], !secret.isEmpty else {
      throw EgressError(.authExpired, "The account has no “\(name)”; connect it again")
    }
    return secret
  }

  func all(for scope: EgressScope) async throws -> [Secret] {
    guard scope.connection == account.connectionID, scope.site == account.siteID else { return [] }
    return Array(account.secrets.values)
  }
}
