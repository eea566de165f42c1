import PluginProtocol

/// What goes wrong at one request.
enum HostFault: Sendable {
  /// The adapter dies before anything is sent.
  case adapterDiesBefore
  /// The request is sent and its outcome kept; the adapter dies without having heard of it.
  case adapterDiesAfter
  /// Host and adapter die around the request: it was begun, and whether it `happened` is nowhere written.
  case hostDies(happened: Bool)
  /// The request goes out, but no complete answer comes; the adapter is told so.
  case answerLost
  /// Nothing is sent; the adapter is told so.
  case notSent
  /// The host refuses.
  case refused(ProtocolError)
  /// This answer comes instead of the platform's.
  case answered(HTTPAnswer)
  /// The request waits until `release`.
  case held
}

/// One request that an adapter made.
struct Exchange: Sendable {
  /// From 1, over all processes of a delivery.
  let number: Int
  /// The call in which it was asked.
  let method: String
  let request: PerformHTTPRequest
  /// Everything of the request that a host compares.
  let digest: String
  /// Answered without asking the platform.
  let isReplayed: Bool
}

/// One request that reached the platform and could change something.
struct Effect: Sendable, Equatable {
  let step: String
  let rule: String
  let isCommit: Bool
  let method: String
}
