/// Why a plugin's request got no HTTP answer, in the words of the plugin protocol; holds no secret.
package struct EgressError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Kinds of the protocol's error table that a request can end with.
  package enum Kind: String, Sendable, CaseIterable {
    case invalidParams
    case `internal`
    case overloaded
    case draining
    case capabilityDenied
    case egressDenied
    case ssrfBlocked
    case upstreamUnreachable
    case upstreamTimeout
    case responseTooLarge
    case cancelled
    case deadlineExceeded
    case authExpired
    case authRevoked
    case scopeMissing
    case rateLimited
    case outcomeUnknown
    case prepareExpired

    /// JSON-RPC error code.
    package var code: Int {
      switch self {
      case .invalidParams: -32602
      case .internal: -32603
      case .overloaded: -32020
      case .draining: -32021
      case .capabilityDenied: -32030
      case .egressDenied: -32031
      case .ssrfBlocked: -32032
      case .upstreamUnreachable: -32040
      case .upstreamTimeout: -32041
      case .responseTooLarge: -32042
      case .cancelled: -32800
      case .deadlineExceeded: -32801
      case .authExpired: 1001
      case .authRevoked: 1002
      case .scopeMissing: 1003
      case .rateLimited: 1010
      case .outcomeUnknown: 1040
      case .prepareExpired: 1041
      }
    }

    /// Retry class of the protocol.
    package var retry: String {
      switch self {
      case .invalidParams, .capabilityDenied, .egressDenied, .ssrfBlocked, .responseTooLarge: "never"
      case .internal, .upstreamUnreachable, .upstreamTimeout, .cancelled, .deadlineExceeded, .prepareExpired:
        "retry"
      case .overloaded, .draining, .rateLimited: "after"
      case .authExpired, .authRevoked, .scopeMissing: "reauth"
      case .outcomeUnknown: "reconcile"
      }
    }
  }

  package let kind: Kind
  package let message: String
  /// The parameter that is wrong, such as `path.id`.
  package let field: String?
  package let retryAfter: Duration?
  /// Steps whose answers are of no use any more; with `prepareExpired` alone.
  package let steps: [String]

  package init(
    _ kind: Kind,
    _ message: String,
    field: String? = nil,
    retryAfter: Duration? = nil,
    steps: [String] = []
  ) {
    self.kind = kind
    self.message = message
    self.field = field
    self.retryAfter = retryAfter
    self.steps = steps
  }

  package var code: Int { kind.code }
  package var retry: String { kind.retry }

  package var description: String {
    let place = field.map { " (\($0))" } ?? ""
    return "\(kind.rawValue) \(kind.code): \(message)\(place)"
  }
}
