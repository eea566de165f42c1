public import JSONText
public import PluginKit

/// What a scripted platform answers to a request for a stream.
public enum ScriptedStream: Sendable {
  /// No stream, but a whole answer, such as a refusal.
  case answer(HTTPAnswer)
  /// Events, and then the end.
  ///
  /// - Parameters:
  ///   - headers: Those that the rule exposes, in lower case.
  ///   - end: `complete`, `closed`, `cancelled`, `timeout`, `connectionLost` or `tooLarge`.
  ///   - usage: What the rule's pointer found.
  case events([HTTPEvents.Event], headers: [String: String] = [:], end: String = "complete", usage: RawJSON? = nil)
}
