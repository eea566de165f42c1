import Cryptography
import Egress
import Synchronization

/// The credentials of one account for the gate; plugins never see them. None is given out after it was revoked, and a
/// token that has ended is renewed first: it is asked for before a request is begun.
final class AccountSecrets: SecretSource {
  /// As it was when the call began.
  private let account: Account
  private let revocations: RevocationBoard
  private let renewer: TokenRenewer
  /// Told that the database could not be asked.
  private let databaseLost: @Sendable () -> Void
  /// Told that a secret is given out for a request.
  private let used: @Sendable () -> Void
  /// As it is now.
  private let present: Mutex<Account>

  init(
    account: Account,
    revocations: RevocationBoard,
    renewer: TokenRenewer,
    databaseLost: @escaping @Sendable () -> Void = {},
    used: @escaping @Sendable () -> Void = {}
  ) {
    self.account = account
    self.revocations = revocations
    self.renewer = renewer
    self.databaseLost = databaseLost
    self.used = used
    present = Mutex(account)
  }

  /// The account with the credentials that were given out last.
  var current: Account { present.withLock { $0 } }

  func secret(_ name: String, for scope: EgressScope) async throws -> Secret {
    guard scope.connection == account.connectionID, scope.site == account.siteID else {
      throw EgressError(.capabilityDenied, "The request is for another account")
    }
    try await requireUse()
    let usable = try await usable()
    guard let secret = usable.secrets[name], !secret.isEmpty else {
      throw EgressError(.authExpired, "The account has no “\(name)”; connect it again")
    }
    used()
    return secret
  }

  func all(for scope: EgressScope) async throws -> [Secret] {
    guard scope.connection == account.connectionID, scope.site == account.siteID else { return [] }
    let all = Array(current.secrets.values)
    return all + account.secrets.values.filter { secret in !all.contains(secret) }
  }

  private func usable() async throws -> Account {
    let account: Account
    do {
      account = try await renewer.usable(current)
    } catch let error as EgressError {
      throw error
    } catch let error as AccountError {
      throw EgressError(.authRevoked, error.description)
    } catch {
      databaseLost()
      throw error
    }
    present.withLock { $0 = account }
    return account
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
