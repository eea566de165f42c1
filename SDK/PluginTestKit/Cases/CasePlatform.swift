import FoundationEssentials
import JSONText
import PluginKit
import PluginProtocol
import Synchronization

/// A platform that answers from the author's cases.
///
/// A text of a reply may hold `{{n}}` (number of the effect) and `{{now}}` (the time of the last commit). A text that is
/// `{{commit:/pointer}}` becomes a value of the last commit's JSON body, `{{count:/pointer}}` the length of a list in it,
/// so that a search shows what was published.
final class CasePlatform: ScriptedPlatform {
  private struct State {
    var asked: [String: Int] = [:]
    var effects = 0
    var isPublished = false
    var commit: RawJSON?
    var now = Date()
  }

  private let replies: [ConformanceCases.Reply]
  private let state = Mutex(State())

  init(_ cases: ConformanceCases) {
    replies = cases.replies
  }

  func reset() async {
    state.withLock { $0 = State() }
  }

  func answer(
    _ request: PerformHTTPRequest,
    rule: ManifestRule,
    account: Account,
    method: String
  ) async throws(ProtocolError) -> HTTPAnswer {
    let answer: HTTPAnswer? = state.withLock { state in
      let condition = state.isPublished ? "published" : "absent"
      let fitting = replies.filter { $0.rule == rule.name && ($0.when == nil || $0.when == condition) }
      guard !fitting.isEmpty else { return nil }
      let turn = state.asked[rule.name, default: 0]
      state.asked[rule.name] = turn + 1
      let reply = fitting[min(turn, fitting.count - 1)]
      if rule.isEffect {
        state.effects += 1
        if rule.effectClass == "commit", method == "post/publish" {
          state.isPublished = true
          state.now = Date()
          if case .json(let body) = request.body { state.commit = body }
        }
      }
      return Self.answer(reply, state)
    }
    guard let answer else {
      throw ProtocolError(.internal, "conformance.json has no answer to the rule \(rule.name)")
    }
    return answer
  }

  private static func answer(_ reply: ConformanceCases.Reply, _ state: State) -> HTTPAnswer {
    HTTPAnswer(
      status: reply.status,
      headers: reply.headers,
      json: reply.json.map { json in
        var writer = JSONWriter()
        fill(json, state, &writer)
        return writer.finish()
      },
      text: reply.text
    )
  }

  private static func fill(_ value: RawJSON, _ state: State, _ writer: inout JSONWriter) {
    switch value.kind {
    case .object:
      writer.beginObject()
      // The kind was just looked at, so neither view can fail.
      for (key, member) in (try? value.object())?.all ?? [] {
        writer.key(key)
        fill(member, state, &writer)
      }
      writer.endObject()
    case .array:
      writer.beginArray()
      if let elements = try? value.array() { for element in elements { fill(element, state, &writer) } }
      writer.endArray()
    case .string:
      fill((try? value.string()) ?? "", state, &writer)
    default:
      writer.raw(value)
    }
  }

  private static func fill(_ text: String, _ state: State, _ writer: inout JSONWriter) {
    if text.hasPrefix("{{commit:"), text.hasSuffix("}}") {
      let pointer = String(text.dropFirst(9).dropLast(2))
      return writer.raw(state.commit?.pointer(pointer) ?? .null)
    }
    if text.hasPrefix("{{count:"), text.hasSuffix("}}") {
      let list = state.commit?.pointer(String(text.dropFirst(8).dropLast(2)))
      return writer.int(list.flatMap { try? $0.array() }.map { Array($0).count } ?? 0)
    }
    let now = WireDate.text(state.now)
    writer.string(text.replacing("{{n}}", with: "\(state.effects)").replacing("{{now}}", with: now))
  }
}
