import FoundationEssentials
import Glibc
import JSONText
import PluginKit
import PluginProtocol
import PluginTransport
import Synchronization

/// A host in miniature: follows the manifest's rules, keeps a journal, and breaks what it is told to break.
///
/// It outlives the processes of a delivery, as the journal of a real host does.
final class KitHost: Sendable {
  /// What the journal knows of a step.
  struct Entry: Sendable {
    let digest: String
    let rule: ManifestRule
    let method: String
    let step: String
    /// Nil while nobody knows.
    var answer: HTTPAnswer?
    var outcome: ManifestRule.Outcome
    let startedAt: Date
  }

  private struct State {
    var calls: [String: String] = [:]
    var lastCall = 0
    var journal: [String: Entry] = [:]
    var order: [String] = []
    /// Reads since the last effect, by step and digest; they join the journal with the next effect.
    var pendingReads: [String: HTTPAnswer] = [:]
    var reads: [String: HTTPAnswer] = [:]
    var exchanges: [Exchange] = []
    var effects: [Effect] = []
    var problems: [String] = []
    var others: [String] = []
    var isReleased = false
    var holding = 0
  }

  /// Decides what happens to the request of this number.
  typealias Plan = @Sendable (_ number: Int, _ request: PerformHTTPRequest, _ rule: ManifestRule) -> HostFault?

  let manifest: AdapterManifest
  let account: Account
  private let platform: any ScriptedPlatform
  private let plan: Plan
  private let state = Mutex(State())
  private let pulse = Pulse()
  private let streams = KitStreams()

  init(
    manifest: AdapterManifest,
    account: Account,
    platform: any ScriptedPlatform,
    plan: @escaping Plan = { _, _, _ in nil }
  ) {
    self.manifest = manifest
    self.account = account
    self.platform = platform
    self.plan = plan
  }

  // MARK: What happened

  /// Every HTTP request in order.
  var exchanges: [Exchange] { state.withLock { $0.exchanges } }

  /// Every request that reached the platform and could change something.
  var effects: [Effect] { state.withLock { $0.effects } }

  /// Rules that the adapter broke.
  var problems: [String] { state.withLock { $0.problems } }

  /// Methods of the adapter's requests other than `host/http`.
  var otherRequests: [String] { state.withLock { $0.others } }

  /// Commits that began and whose outcome nobody knows.
  var openCommits: [Entry] {
    state.withLock { state in
      state.order.compactMap { state.journal[$0] }.filter { $0.rule.effectClass == "commit" && $0.outcome == .unknown }
    }
  }

  /// Whether a commit was accepted.
  var hasAcceptedCommit: Bool {
    state.withLock { $0.journal.values.contains { $0.rule.effectClass == "commit" && $0.outcome == .accepted } }
  }

  /// What a reconciling adapter is told.
  var evidence: [Evidence] {
    state.withLock { state in
      state.order.compactMap { state.journal[$0] }.map { entry in
        let time = KitHost.text(entry.startedAt)
        return Evidence(
          step: entry.step,
          rule: entry.rule.name,
          effectClass: entry.rule.effectClass,
          state: entry.answer == nil && entry.outcome == .unknown ? "started" : "done",
          outcome: entry.outcome.rawValue,
          status: entry.answer.map { Int64($0.status) },
          sentAt: time,
          lastByteAt: time,
          remoteID: entry.outcome == .accepted ? entry.answer.flatMap { entry.rule.remoteID(in: $0) } : nil
        )
      }
    }
  }

  // MARK: Steering

  /// Names a new call of a method.
  func beginCall(_ method: String) -> String {
    state.withLock { state in
      state.lastCall += 1
      let call = "c-\(state.lastCall)"
      state.calls[call] = method
      return call
    }
  }

  /// Forgets the journal: what follows belongs to another delivery.
  func beginDelivery() {
    state.withLock { state in
      state.journal = [:]
      state.order = []
      state.reads = [:]
      state.pendingReads = [:]
    }
  }

  func endCall(_ call: String) {
    streams.endCall(call)
    _ = state.withLock { $0.calls.removeValue(forKey: call) }
  }

  /// Lets held requests go on.
  func release() {
    state.withLock { $0.isReleased = true }
    pulse.fire()
  }

  /// Waits until `count` requests are held; false if they do not come.
  func waitUntilHolding(_ count: Int, within limit: Duration = .seconds(10)) async -> Bool {
    let reached: Bool? = await pulse.first(within: limit) { [self] in
      state.withLock { $0.holding >= count } ? true : nil
    }
    return reached ?? false
  }

  /// A search proved that open commits did not happen: they may be sent again.
  func forgetOpenCommits() {
    state.withLock { state in
      for (key, entry) in state.journal where entry.rule.effectClass == "commit" && entry.outcome == .unknown {
        state.journal[key] = nil
        state.order.removeAll { $0 == key }
      }
    }
  }

  /// A search found what the open commits made: the rest of the thread can go out.
  func confirmOpenCommits(_ remoteID: String) {
    state.withLock { state in
      for (key, entry) in state.journal where entry.rule.effectClass == "commit" && entry.outcome == .unknown {
        state.journal[key]?.outcome = .accepted
        state.journal[key]?.answer = HTTPAnswer(status: 200, remoteID: remoteID)
      }
    }
  }

  /// Forgets answers that the adapter said are too old.
  func forget(steps: [String]) {
    state.withLock { state in
      for step in steps where state.journal[step]?.rule.effectClass == "prepare" {
        state.journal[step] = nil
        state.order.removeAll { $0 == step }
      }
    }
  }

  /// What a new attempt asks anew: requests that were refused.
  func forgetRejected() {
    state.withLock { state in
      for (key, entry) in state.journal where entry.outcome == .rejected {
        state.journal[key] = nil
        state.order.removeAll { $0 == key }
      }
    }
  }

  // MARK: Answering

  /// Answers one request of the adapter.
  func answer(
    _ method: String,
    _ params: RawJSON,
    process: AdapterProcess?
  ) async -> Result<any WireValue, ProtocolError> {
    do {
      switch method {
      case PerformHTTPRequest.method:
        return .success(try await http(try PerformHTTPRequest(json: params), process))
      case OpenHTTPStreamRequest.method:
        return .success(try await open(try OpenHTTPStreamRequest(json: params).request, process))
      case CreditHTTPStreamRequest.method:
        try streams.credit(try CreditHTTPStreamRequest(json: params))
        return .success(EmptyMessage())
      case CloseHTTPStreamRequest.method:
        try streams.close(try CloseHTTPStreamRequest(json: params))
        return .success(EmptyMessage())
      case StatMediaRequest.method:
        let request = try StatMediaRequest(json: params)
        noteOther(method)
        return .success(
          MediaItem(
            handle: request.handle,
            type: "image/png",
            bytes: Int64(SampleMedia.bytes.count),
            width: 1,
            height: 1
          )
        )
      case ReadMediaRequest.method:
        let request = try ReadMediaRequest(json: params)
        noteOther(method)
        let bytes = SampleMedia.bytes.dropFirst(Int(min(request.offset, 1_048_576))).prefix(Int(request.length))
        return .success(ReadMediaRequest.Answer(base64: Data(bytes).base64EncodedString()))
      default:
        note("asks for the method \(method), which no host has")
        return .failure(ProtocolError(.methodNotFound, "the host has no method \(method)"))
      }
    } catch let error as ProtocolError {
      return .failure(error)
    } catch {
      note("sends \(method) with params that cannot be read: \(error)")
      return .failure(ProtocolError(.invalidParams, "\(error)"))
    }
  }

  /// The answer to `host/http.open` has left: its events follow.
  func replied(_ result: any WireValue, _ send: @escaping KitStreams.Send) {
    guard let stream = (result as? OpenHTTPStreamRequest.Answer)?.stream else { return }
    streams.begin(stream, send)
  }

  /// Asks for an answer of events; what is none is given whole.
  private func open(
    _ request: PerformHTTPRequest,
    _ process: AdapterProcess?
  ) async throws(ProtocolError) -> OpenHTTPStreamRequest.Answer {
    var answer = try await http(request, process, isStream: true)
    let type = answer.headers["content-type"] ?? ""
    guard let rule = manifest.rules[request.rule], (200..<300).contains(answer.status),
      type.hasPrefix("text/event-stream"), let text = answer.text
    else {
      answer.headers = exposed(answer, manifest.rules[request.rule])
      return OpenHTTPStreamRequest.Answer(stream: nil, answer: answer)
    }
    let events = KitStreams.events(in: text)
    let content = KitStreams.Content(events: events, usage: KitStreams.usage(rule.usage, in: events))
    let id = streams.open(content, for: request.call)
    let head = HTTPAnswer(status: answer.status, headers: exposed(answer, rule))
    return OpenHTTPStreamRequest.Answer(stream: id, answer: head)
  }

  private func exposed(_ answer: HTTPAnswer, _ rule: ManifestRule?) -> [String: String] {
    answer.headers.filter { rule?.exposedHeaders.contains($0.key) ?? false }
  }

  private func http(
    _ request: PerformHTTPRequest,
    _ process: AdapterProcess?,
    isStream: Bool = false
  ) async throws(ProtocolError) -> HTTPAnswer {
    guard let method = state.withLock({ $0.calls[request.call] }) else {
      throw refuse(.invalidParams, "names the call “\(request.call)”, which is not open")
    }
    guard let rule = manifest.rules[request.rule] else {
      throw refuse(.egressDenied, "asks by the rule “\(request.rule)”, which the manifest does not have")
    }
    if let problem = rule.problem(of: request, from: method, isStream: isStream) {
      throw refuse(.egressDenied, problem)
    }
    let digest = Self.digest(request)
    let (kept, number) = try lookUp(request, rule, digest, method)
    if let kept { return kept }
    switch plan(number, request, rule) {
    case nil: return try await perform(request, rule, digest, method)
    case .adapterDiesBefore:
      process?.kill(SIGKILL)
      throw ProtocolError(.connectionLost, "the adapter is gone")
    case .adapterDiesAfter:
      let answer = try await perform(request, rule, digest, method)
      process?.kill(SIGKILL)
      return answer
    case .hostDies(let happened):
      if happened { _ = try await ask(request, rule, method) }
      start(request, rule, digest, method)
      process?.kill(SIGKILL)
      throw ProtocolError(.connectionLost, "the host is gone")
    case .answerLost:
      _ = try await ask(request, rule, method)
      start(request, rule, digest, method)
      throw ProtocolError(.outcomeUnknown, "sent, but no complete answer came")
    case .notSent: throw ProtocolError(.upstreamUnreachable, "nothing was sent")
    case .refused(let error): throw error
    case .answered(let answer):
      record(answer, request, rule, digest, method)
      return answer
    case .held:
      state.withLock { $0.holding += 1 }
      pulse.fire()
      let _: Bool? = await pulse.first(within: .seconds(60)) { [self] in
        state.withLock { $0.isReleased } ? true : nil
      }
      return try await perform(request, rule, digest, method)
    }
  }

  /// What the journal has to say, and the number of the request.
  private func lookUp(
    _ request: PerformHTTPRequest,
    _ rule: ManifestRule,
    _ digest: String,
    _ method: String
  ) throws(ProtocolError) -> (HTTPAnswer?, Int) {
    let result: Result<(HTTPAnswer?, Int), ProtocolError> = state.withLock { state in
      let step = request.step ?? request.rule
      var answer: HTTPAnswer?
      var error: ProtocolError?
      if !rule.isEffect {
        answer = method == "post/publish" ? state.reads[step + digest] : nil
      } else if let entry = state.journal[step] {
        if entry.digest == digest {
          answer = entry.answer
          if answer == nil { error = ProtocolError(.outcomeUnknown, "an earlier try of this step may have happened") }
        } else if rule.effectClass == "commit" {
          state.problems.append("the commit “\(step)” differs from the one that was sent before")
          error = ProtocolError(.outcomeUnknown, "the step differs from the one that was sent")
        }
      }
      state.exchanges.append(
        Exchange(
          number: state.exchanges.count + 1,
          method: method,
          request: request,
          digest: digest,
          isReplayed: answer != nil
        )
      )
      if let error { return .failure(error) }
      answer?.isReplayed = true
      return .success((answer, state.exchanges.count))
    }
    return try result.get()
  }

  private func perform(
    _ request: PerformHTTPRequest,
    _ rule: ManifestRule,
    _ digest: String,
    _ method: String
  ) async throws(ProtocolError) -> HTTPAnswer {
    let answer: HTTPAnswer
    do throws(ProtocolError) { answer = try await ask(request, rule, method) } catch {
      if error.kind == .outcomeUnknown { start(request, rule, digest, method) }
      throw error
    }
    record(answer, request, rule, digest, method)
    return answer
  }

  /// Asks the platform and counts what it did.
  private func ask(
    _ request: PerformHTTPRequest,
    _ rule: ManifestRule,
    _ method: String
  ) async throws(ProtocolError) -> HTTPAnswer {
    var answer = try await platform.answer(request, rule: rule, account: account, method: method)
    // The type of a stream is looked at before it goes on its way.
    if !rule.isStream { answer.headers = exposed(answer, rule) }
    if rule.isEffect, rule.outcome(of: answer) != .rejected {
      let effect = Effect(
        step: request.step ?? "",
        rule: rule.name,
        isCommit: rule.effectClass == "commit",
        method: method
      )
      state.withLock { $0.effects.append(effect) }
    }
    return answer
  }

  /// Keeps an outcome.
  private func record(
    _ answer: HTTPAnswer,
    _ request: PerformHTTPRequest,
    _ rule: ManifestRule,
    _ digest: String,
    _ method: String
  ) {
    let step = request.step ?? request.rule
    state.withLock { state in
      guard rule.isEffect else {
        // What a stream brought is not kept.
        if method == "post/publish", !rule.isStream { state.pendingReads[step + digest] = answer }
        return
      }
      Self.keep(
        Entry(
          digest: digest,
          rule: rule,
          method: method,
          step: step,
          answer: answer,
          outcome: rule.outcome(of: answer),
          startedAt: Date()
        ),
        &state
      )
    }
  }

  /// Keeps that a request began; nothing is known of its end.
  private func start(_ request: PerformHTTPRequest, _ rule: ManifestRule, _ digest: String, _ method: String) {
    // What nobody can see may be asked again; only a commit without an outcome stays open.
    guard rule.effectClass == "commit" else { return }
    let step = request.step ?? request.rule
    state.withLock { state in
      Self.keep(
        Entry(
          digest: digest,
          rule: rule,
          method: method,
          step: step,
          answer: nil,
          outcome: .unknown,
          startedAt: Date()
        ),
        &state
      )
    }
  }

  private static func keep(_ entry: Entry, _ state: inout State) {
    if state.journal.updateValue(entry, forKey: entry.step) == nil { state.order.append(entry.step) }
    state.reads.merge(state.pendingReads) { $1 }
    state.pendingReads = [:]
  }

  private func noteOther(_ method: String) {
    state.withLock { $0.others.append(method) }
  }

  private func note(_ problem: String) {
    state.withLock { $0.problems.append(problem) }
  }

  private func refuse(_ kind: ErrorKind, _ problem: String) -> ProtocolError {
    note(problem)
    return ProtocolError(kind, problem)
  }

  /// The request in canonical form, without the name of its call and its patience.
  static func digest(_ request: PerformHTTPRequest) -> String {
    var request = request
    request.call = ""
    request.timeoutMs = nil
    return request.json.canonical().text
  }

  static func text(_ date: Date) -> String {
    WireDate.text(date, milliseconds: true)
  }
}
