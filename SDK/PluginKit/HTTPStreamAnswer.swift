public import PluginProtocol

/// What a request for a stream brings.
public enum HTTPStreamAnswer: Sendable {
  /// The platform answers with events.
  case events(HTTPEvents)
  /// The platform answers with something else, such as an error.
  case answer(HTTPAnswer)
}
