import Cryptography
package import Egress
import FoundationEssentials
import JSONText
package import Logging
import MediaStore
package import PluginHost
import PluginManifest
import PluginProtocol

/// Runs plugin calls about accounts, outside of any delivery: reads and repeatable requests only.
package struct AccountCaller: Sendable {
  private let plugins: PluginHost
  private let egress: Egress
  private let accounts: AccountCache
  private let renewer: TokenRenewer
  private let logger: Logger

  package init(plugins: PluginHost, egress: Egress, accounts: AccountCache, renewer: TokenRenewer, logger: Logger) {
    self.plugins = plugins
    self.egress = egress
    self.accounts = accounts
    self.renewer = renewer
    self.logger = logger
  }

  /// Which servers the host may talk to.
  var policy: AddressPolicy { egress.addressPolicy }

  /// The longest that a person waits for a platform.
  private static let patience: Duration = .seconds(30)

  /// Runs a call such as `account/identify` for an account that may not be stored yet.
  ///
  /// A stored token that the platform refuses is renewed, and the call made once more: nothing of it publishes.
  func call(_ method: String, manifest: PluginManifest, account: Account) async throws -> RawJSON {
    do {
      return try await attempt(method, manifest: manifest, account: account)
    } catch let failure as PluginFailure {
      let problem = PluginResult.problem(failure)
      guard problem.asksForNewToken, await renewer.waitAfterRefusal(account) != nil else { throw Self.refusal(problem) }
    }
    do {
      let renewed = try await accounts.load(account.connectionID)
      return try await attempt(method, manifest: manifest, account: renewed)
    } catch let failure as PluginFailure {
      throw Self.refusal(PluginResult.problem(failure))
    }
  }

  private func attempt(_ method: String, manifest: PluginManifest, account: Account) async throws -> RawJSON {
    let deadline = ContinuousClock.now + Self.patience
    let parameters = RawJSON.object { writer in writer.field("account", account.json()) }
    let scope = EgressScope(
      site: account.siteID,
      connection: account.connectionID,
      pluginID: manifest.id,
      requestKey: UUID().uuidString.lowercased(),
      accountOrigin: account.origin,
      accountEndpoint: account.endpoint
    )
    let call = try await plugins.begin(
      method,
      plugin: manifest.id,
      params: parameters,
      attempt: 1,
      deadline: Self.patience,
      pinnedVersion: "\(manifest.version)"
    )
    let desk = EgressDesk(
      egress: egress,
      call: EgressDesk.Call(
        method: method,
        manifest: manifest,
        scope: scope,
        secrets: AccountSecrets(account: account, revocations: accounts.revocations, renewer: renewer),
        journal: AccountCallJournal(),
        deadline: deadline
      ),
      notify: { call.notify(EgressDesk.notification, params: $0) }
    )
    defer { desk.finish() }
    while true {
      switch await call.next() {
      case .result(let result): return result
      case .failed(let failure): throw failure
      case .request(let request):
        guard let answer = await desk.answer(request.method, request.params) else {
          let message = "The host does not answer \(request.method) here"
          call.refuse(request, error: ProtocolError(.capabilityDenied, message))
          continue
        }
        switch answer.reply {
        case .result(let result): call.answer(request, result: result)
        case .error(let error): call.refuse(request, error: ProtocolError(error))
        }
      }
    }
  }

  /// A problem of the account in words for the person who connects it.
  private static func refusal(_ problem: DeliveryProblem) -> PublishingError {
    let text = problem.userMessage ?? problem.message
    if problem.kind == EgressError.Kind.ssrfBlocked.rawValue {
      let advice = "The host does not send to this address: \(text). An operator allows it with ROSTRUM_EGRESS_ALLOW"
      return PublishingError(.invalid, "address_not_allowed", advice, field: "fields.endpoint")
    }
    if problem.kind == EgressError.Kind.upstreamUnreachable.rawValue {
      return PublishingError(.unavailable, "platform_unavailable", "The address can not be reached: \(text)")
    }
    switch problem.retry {
    case .reauth:
      return PublishingError(.refusedByPlatform, "credentials_refused", text, field: "credentials")
    case .after, .retry, .reconcile:
      return PublishingError(.unavailable, "platform_unavailable", text)
    case .never, .userFix, .upgrade:
      return PublishingError(.refusedByPlatform, "platform_refused", text)
    }
  }
}

extension PluginHost {
  /// Runs a pure call; nil when the plugin can not be asked now.
  func ask(_ method: String, plugin: String, parameters: RawJSON) async -> RawJSON? {
    do {
      let call = try await begin(method, plugin: plugin, params: parameters, attempt: 1, deadline: .seconds(5))
      while true {
        switch await call.next() {
        case .result(let result): return result
        case .failed(let failure): throw failure
        case .request(let request):
          let message = "\(method) is pure: it asks the host for nothing"
          call.refuse(request, error: ProtocolError(.capabilityDenied, message))
        }
      }
    } catch {
      Logger.current.warning(
        "An adapter could not be asked",
        ["plugin": plugin, "method": method, "error": "\(error)"]
      )
      return nil
    }
  }
}
