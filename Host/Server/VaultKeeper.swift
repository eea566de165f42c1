internal import FoundationEssentials
internal import Logging
internal import Publishing
internal import ServiceTree
internal import Vault

/// Carries changes of keys and revocations out, a little on every host; whoever is killed, the others go on.
struct VaultKeeper: Service {
  let name = "vault"

  private let vault: HostVault
  private let home: String
  private let logger: Logger

  private let instance = UUID()

  private static let interval: Duration = .seconds(2)
  /// Rounds between two looks for values that came after the end of a rotation.
  private static let roundsPerLook = 30

  init(vault: HostVault, home: String, logger: Logger) {
    self.vault = vault
    self.home = home
    self.logger = logger
  }

  func run() async throws {
    var rounds = 0
    repeat {
      await round(looks: rounds % Self.roundsPerLook == 0)
      rounds += 1
    } while await Shutdown.current.sleep(for: Self.interval)
    await orLog("Telling that this host ends", logger) { try await vault.rotations.withdraw(instance) }
  }

  private func round(looks: Bool) async {
    let shutdown = Shutdown.current
    await orLog("Revoking credentials", logger) {
      try await vault.revocations.round(until: { shutdown.isRequested })
    }
    await orLog("Telling which keys this host has", logger) { try await vault.rotations.report(instance, home: home) }
    await orLog("Changing keys", logger) {
      if looks { try await vault.resealer.reopen() }
      try await vault.resealer.round(until: { shutdown.isRequested })
    }
  }
}
