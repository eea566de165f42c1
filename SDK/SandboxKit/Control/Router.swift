/// Leads each request to a platform, the control interface or a page, through the faults in force.
final class Router: Sendable {
  let x = XPlatform()
  let webhooks = WebhookReceiver()
  let microblog = MicroblogPlatform()
  /// Platforms that only let apps in so far.
  let consentPlatforms: [Platform: any ConsentPlatform] = [
    .linkedin: LinkedInPlatform(),
    .facebook: FacebookPlatform(),
    .instagram: InstagramPlatform(),
    .threads: ThreadsPlatform(),
    .tiktok: TikTokPlatform(),
    .mastodon: MastodonPlatform(),
  ]
  let faults = FaultBook()
  let log = RequestLog()
  let stopSignal: StopSignal
  /// Milliseconds since 1970.
  let clock: @Sendable () -> Int64
  private let currentSettings: Guarded<SandboxSettings>
  private let currentOrigin = Guarded("")

  init(
    settings: SandboxSettings,
    stopSignal: StopSignal,
    clock: @escaping @Sendable () -> Int64 = { WallClock.milliseconds() }
  ) {
    self.clock = clock
    currentSettings = Guarded(settings)
    self.stopSignal = stopSignal
  }

  var settings: SandboxSettings { currentSettings.withLock { $0 } }

  func setSettings(_ settings: SandboxSettings) {
    currentSettings.withLock { $0 = settings }
  }

  /// The sandbox's own address, as its links show it.
  var origin: String { currentOrigin.withLock { $0 } }

  func setOrigin(_ origin: String) {
    currentOrigin.withLock { $0 = origin }
  }

  // MARK: Start

  func add(_ account: SandboxConfiguration.XAccount) throws(SandboxError) {
    guard XAccountOrder.isUsername(account.username), !account.token.isEmpty else {
      throw SandboxError("an account of x is NAME:TOKEN, the name of 1 to 15 letters, digits and _")
    }
    var order = XAccountOrder(username: account.username)
    order.tokens = [.init(text: account.token)]
    let result = x.state.withLock { state -> ControlError? in
      do throws(ControlError) {
        _ = try state.setAccount(order, now: clock())
        return nil
      } catch {
        return error
      }
    }
    if let result { throw SandboxError(result.message) }
  }

  func add(_ account: SandboxConfiguration.MicroblogAccount) throws(SandboxError) {
    guard MicroblogAccountOrder.isUsername(account.username), !account.token.isEmpty else {
      throw SandboxError("an account of microblog is NAME:TOKEN, the name of 1 to 32 small letters, digits, - and _")
    }
    let order = MicroblogAccountOrder(username: account.username, token: account.token)
    microblog.state.withLock { $0.setAccount(order) }
  }

  func add(_ hook: SandboxConfiguration.Hook) throws(SandboxError) {
    guard WebhookHookOrder.isName(hook.name), let secret = WebhookSecret(hook.secret) else {
      throw SandboxError("a hook is NAME:SECRET, the secret whsec_ and the base64 of 24 to 64 bytes")
    }
    webhooks.setHook(WebhookHookOrder(name: hook.name, secrets: [secret]))
  }

  // MARK: Requests

  func answer(_ raw: HTTPRequest) -> Answer {
    let request = Origins.place(raw)
    if let host = request.host { return answer(request, host: host) }
    // The platforms that were here before there were others may be asked without the name of their server.
    if request.path.hasPrefix("/2/") { return answerX(request) }
    if request.path.hasPrefix("/hooks/"), !Pages.isPage(request) { return answerHook(request) }
    if MicroblogPlatform.takes(request) { return answerMicroblog(request) }
    if request.path.hasPrefix("/_sandbox/") { return .respond(control(request)) }
    return .respond(Pages(router: self).answer(request))
  }

  /// A request to a server by its real name.
  private func answer(_ request: HTTPRequest, host: String) -> Answer {
    switch Origins.platform(of: host) {
    case .x: return answerX(request)
    case .microblog: return answerMicroblog(request)
    case let platform?:
      guard let simulated = consentPlatforms[platform] else { break }
      let owner: @Sendable () -> String? = { simulated.oauth.owner(of: request) }
      return simulate(request, platform: platform, account: owner) { [self] _ in
        // Before the answer: a code or a token that it ends still tells whose it was.
        let account = owner()
        return Performed(response: simulated.answer(request, now: clock()), account: account)
      }
    case nil: break
    }
    return .respond(.text(404, "the sandbox stands in for no server \(host)\n"))
  }

  private func answerX(_ request: HTTPRequest) -> Answer {
    simulate(request, platform: .x, account: { [self] in x.username(of: request) }) { [self] lag in
      let settings = settings
      let call = XCall(now: clock(), settings: settings, listLag: settings.listLagMs + lag)
      let answer = x.answer(request, call: call)
      return Performed(response: answer.response, account: answer.username)
    }
  }

  private func answerHook(_ request: HTTPRequest) -> Answer {
    let parts = request.pathParts
    guard parts.count == 2 else { return .respond(.text(404, "there is no such hook\n")) }
    return simulate(request, platform: .webhook, account: { parts[1] }) { [self] _ in
      let response = webhooks.answer(request, hook: parts[1], now: clock(), origin: origin)
      return Performed(response: response, account: parts[1])
    }
  }

  private func answerMicroblog(_ request: HTTPRequest) -> Answer {
    let account: @Sendable () -> String? = { [self] in microblog.username(of: request) }
    guard MicroblogPlatform.takes(request) else { return .respond(MicroblogProblem.notFound.response) }
    return simulate(request, platform: .microblog, account: account) { [self] lag in
      let response = microblog.answer(
        request,
        now: clock(),
        settings: settings,
        listLag: settings.listLagMs + lag,
        origin: origin
      )
      return Performed(response: response, account: account())
    }
  }

  /// The honest answer of a platform, and whose account it is for.
  private struct Performed: Sendable {
    let response: HTTPResponse
    let account: String?
  }

  private typealias Work = @Sendable (_ listLag: Int) -> Performed

  /// Works on a request to a platform as its faults demand.
  ///
  /// - Parameter account: costs a lock, so it is asked only when a fault or the log needs it.
  private func simulate(
    _ request: HTTPRequest,
    platform: Platform,
    account: @Sendable () -> String?,
    perform: @escaping Work
  ) -> Answer {
    let started = clock()
    var plan = faults.plan(for: request, platform: platform.rawValue, account: account)
    if let text = request.header("x-sandbox-fault") {
      do throws(ControlError) {
        plan.add(try FaultOrder.headerAction(text))
      } catch {
        return .respond(.text(400, error.message + "\n"))
      }
    }
    let wait = settings.baseDelayMs + plan.delayBefore
    if wait > 0, !stopSignal.sleep(milliseconds: wait) { return .reset }
    let (answer, performed) = end(plan, platform, perform)
    if plan.delayAfter > 0 { _ = stopSignal.sleep(milliseconds: plan.delayAfter) }
    log.add(
      LoggedRequest(
        at: started,
        platform: platform.rawValue,
        account: performed == nil ? account() : performed?.account,
        method: request.method,
        path: request.path,
        queryNames: request.rawQuery.isEmpty ? [] : request.queryItems()?.map(\.name) ?? [],
        bodyBytes: request.body.count,
        status: answer.status,
        faults: plan.names,
        milliseconds: clock() - started
      )
    )
    return answer
  }

  /// What the client gets, and what happened behind it, if anything has yet.
  private func end(_ plan: FaultPlan, _ platform: Platform, _ perform: @escaping Work) -> (Answer, Performed?) {
    let lag = plan.listLag
    switch plan.ending {
    case nil, .delay, .listLag:
      let performed = perform(lag)
      return (.respond(performed.response), performed)
    case .resetBeforeCommit: return (.reset, nil)
    case .resetAfterCommit: return (.reset, perform(lag))
    case .commitAfterReset(let milliseconds):
      let stopSignal = stopSignal
      let later: @Sendable () -> Void = {
        // A stop in between means that the effect never comes, as with a platform that goes down.
        if stopSignal.sleep(milliseconds: milliseconds) { _ = perform(lag) }
      }
      return (.resetThen(later), nil)
    case .status(let fault):
      let honest = fault.afterCommit ? perform(lag) : nil
      return (.respond(FaultAnswer.response(fault, platform: platform, honest: honest?.response)), honest)
    case .truncateBody:
      let performed = perform(lag)
      return (.truncate(performed.response), performed)
    case .wrongContentType:
      let performed = perform(lag)
      var response = performed.response
      response.set("content-type", "text/html; charset=utf-8")
      return (.respond(response), performed)
    case .omit(let members):
      let performed = perform(lag)
      return (.respond(FaultAnswer.omitting(members, from: performed.response)), performed)
    }
  }
}

extension Answer {
  /// The status that the client sees, if any.
  var status: Int? {
    switch self {
    case .respond(let response), .truncate(let response): response.status
    case .reset, .resetThen: nil
    }
  }
}
