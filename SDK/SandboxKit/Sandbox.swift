/// Strict simulations of platforms behind one HTTP port, with faults on demand and a ledger of what was published.
///
/// It shares no code with the host it judges, and reaches nothing by itself.
public final class Sandbox: Sendable {
  private let configuration: SandboxConfiguration
  private let stopSignal = StopSignal()
  private let listener = Guarded<HTTPListener?>(nil)

  /// Prepares a sandbox; `start()` opens the port.
  public init(configuration: SandboxConfiguration = SandboxConfiguration()) {
    self.configuration = configuration
  }

  deinit {
    stop()
  }

  /// Opens the port and serves on own threads.
  ///
  /// - Returns: the port that is listened on.
  /// - Throws: `SandboxError` when the port is taken, or an account or secret of the configuration is not valid.
  @discardableResult
  public func start() throws(SandboxError) -> UInt16 {
    let router = Router(settings: configuration.settings, stopSignal: stopSignal)
    for account in configuration.accounts { try router.add(account) }
    for hook in configuration.hooks { try router.add(hook) }
    for account in configuration.microblogAccounts { try router.add(account) }
    for account in configuration.consentAccounts { try router.add(account) }
    for app in configuration.apps { try router.add(app) }
    let listener = try HTTPListener(
      host: configuration.host,
      port: configuration.port,
      maximumConnections: configuration.maximumConnections,
      idleSeconds: configuration.idleSeconds,
      stopSignal: stopSignal,
      handler: { router.answer($0) }
    )
    let shownHost = configuration.host == "0.0.0.0" ? "127.0.0.1" : configuration.host
    router.setOrigin("http://\(shownHost):\(listener.port)")
    try listener.start()
    self.listener.withLock { $0 = listener }
    return listener.port
  }

  /// Ends every connection and every waiting request; returns when their threads have ended. May be called twice.
  public func stop() {
    let listener = self.listener.withLock { listener in
      let taken = listener
      listener = nil
      return taken
    }
    listener?.stop()
  }
}
