package import JSONText
package import PluginManifest
import Synchronization

/// Answers everything that one call of a plugin asks about HTTP, and ends with the call.
package final class EgressDesk: Sendable {
  /// What the call is and works with.
  package struct Call: Sendable {
    package var method: String
    package var manifest: PluginManifest
    package var scope: EgressScope
    package var secrets: any SecretSource
    package var journal: any EffectJournal
    package var media: any MediaSource
    package var deadline: ContinuousClock.Instant

    package init(
      method: String,
      manifest: PluginManifest,
      scope: EgressScope,
      secrets: any SecretSource,
      journal: any EffectJournal,
      media: any MediaSource = NoMedia(),
      deadline: ContinuousClock.Instant
    ) {
      self.method = method
      self.manifest = manifest
      self.scope = scope
      self.secrets = secrets
      self.journal = journal
      self.media = media
      self.deadline = deadline
    }
  }

  /// The notification that carries events.
  package static let notification = "$/stream"
  private static let maximumStreams = 8
  private static let lastStream = Mutex<UInt64>(0)

  private struct State {
    var streams: [String: EventStream] = [:]
    var isFinished = false
  }

  private let egress: Egress
  private let call: Call
  private let budget = CallBudget()
  private let notify: @Sendable (RawJSON) -> Void
  private let state = Mutex(State())

  /// - Parameter notify: Sends the params of a `$/stream` notification to the plugin; must not block.
  package init(egress: Egress, call: Call, notify: @escaping @Sendable (RawJSON) -> Void) {
    self.egress = egress
    self.call = call
    self.notify = notify
  }

  /// Answers a request; nil for a method that is not about HTTP.
  package func answer(_ method: String, _ params: RawJSON) async -> HTTPAnswer? {
    switch method {
    case "host/http":
      let answer = await egress.perform(
        params,
        method: call.method,
        manifest: call.manifest,
        scope: call.scope,
        secrets: call.secrets,
        journal: call.journal,
        media: call.media,
        deadline: call.deadline,
        budget: budget
      )
      // What the journal answers costs nobody anything; a long delivery must be able to run again.
      if answer.isReplay { budget.giveBack() }
      return answer
    case "host/http.open": return await open(params)
    case "host/http.credit", "host/http.close":
      do throws(EgressError) {
        try steer(method, params)
        return HTTPAnswer(.result(.emptyObject))
      } catch {
        return .refused(error)
      }
    default: return nil
    }
  }

  /// Closes what the call has left open.
  package func finish() {
    let open = state.withLock { state in
      state.isFinished = true
      defer { state.streams = [:] }
      return Array(state.streams.values)
    }
    for stream in open { stream.close(.cancelled) }
  }

  // MARK: Streams

  private func open(_ params: RawJSON) async -> HTTPAnswer {
    let number = Self.lastStream.withLock { number in
      number += 1
      return number
    }
    let id = "s\(number)"
    let mayOpen = state.withLock { state in
      state.streams = state.streams.filter { !$0.value.isDone }
      return !state.isFinished && state.streams.count < Self.maximumStreams
    }
    guard mayOpen else {
      return .refused(EgressError(.overloaded, "a call may hold \(Self.maximumStreams) streams open"))
    }
    let (answer, stream) = await egress.open(params, as: id, call, budget: budget, send: notify)
    if let stream {
      let isLate = state.withLock { state in
        if !state.isFinished { state.streams[id] = stream }
        return state.isFinished
      }
      if isLate { stream.close(.cancelled) }
    }
    return answer
  }

  private func steer(_ method: String, _ params: RawJSON) throws(EgressError) {
    // A value of the wrong kind is reported with its field.
    guard let object = try? params.object(), let id = try? object.string("stream") else {
      throw EgressError(.invalidParams, "missing", field: "stream")
    }
    // A stream that has ended is no error: its end may be on its way.
    let stream = state.withLock { $0.streams[id] }
    if method == "host/http.close" {
      stream?.close(.closed)
      return
    }
    guard let events = try? object.optionalInt64("events") ?? 0, let bytes = try? object.optionalInt64("bytes") ?? 0,
      (0...1_048_576).contains(events), (0...1_073_741_824).contains(bytes)
    else { throw EgressError(.invalidParams, "allowed: whole numbers of events and bytes", field: "events") }
    stream?.grant(events: Int(events), bytes: Int(bytes))
  }
}
