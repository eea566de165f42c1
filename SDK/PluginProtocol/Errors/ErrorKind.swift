/// What went wrong, by name; each known kind has a code and a retry class of its own.
public struct ErrorKind: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The name on the wire.
  public let rawValue: String

  /// Makes a kind from its name; an unknown one counts as `internal` for code and retry class.
  public init(rawValue: String) {
    self.rawValue = rawValue
  }

  /// The name on the wire.
  public var description: String { rawValue }

  /// A frame is not JSON.
  public static let parse = ErrorKind(rawValue: "parse")
  /// A message is not a JSON-RPC request, or comes at the wrong time.
  public static let invalidRequest = ErrorKind(rawValue: "invalidRequest")
  /// The method is unknown.
  public static let methodNotFound = ErrorKind(rawValue: "methodNotFound")
  /// A parameter is wrong.
  public static let invalidParams = ErrorKind(rawValue: "invalidParams")
  /// The receiver has a fault.
  public static let `internal` = ErrorKind(rawValue: "internal")
  /// No protocol version in common.
  public static let versionMismatch = ErrorKind(rawValue: "versionMismatch")
  /// The plugin is not what its manifest says.
  public static let manifestMismatch = ErrorKind(rawValue: "manifestMismatch")
  /// The other side is gone.
  public static let connectionLost = ErrorKind(rawValue: "connectionLost")
  /// A frame is over the cap.
  public static let frameTooLarge = ErrorKind(rawValue: "frameTooLarge")
  /// The other side broke a rule of the protocol.
  public static let protocolViolation = ErrorKind(rawValue: "protocolViolation")
  /// Too many calls at once.
  public static let overloaded = ErrorKind(rawValue: "overloaded")
  /// The plugin takes nothing new.
  public static let draining = ErrorKind(rawValue: "draining")
  /// The plugin is switched off after faults.
  public static let quarantined = ErrorKind(rawValue: "quarantined")
  /// The plugin was not granted this.
  public static let capabilityDenied = ErrorKind(rawValue: "capabilityDenied")
  /// The manifest has no rule for this request.
  public static let egressDenied = ErrorKind(rawValue: "egressDenied")
  /// The address may not be reached.
  public static let ssrfBlocked = ErrorKind(rawValue: "ssrfBlocked")
  /// Nothing was sent.
  public static let upstreamUnreachable = ErrorKind(rawValue: "upstreamUnreachable")
  /// Sent, but no complete answer to a read.
  public static let upstreamTimeout = ErrorKind(rawValue: "upstreamTimeout")
  /// The answer is over the rule's limit.
  public static let responseTooLarge = ErrorKind(rawValue: "responseTooLarge")
  /// The call was canceled.
  public static let cancelled = ErrorKind(rawValue: "cancelled")
  /// The call took too long.
  public static let deadlineExceeded = ErrorKind(rawValue: "deadlineExceeded")
  /// The access token is not valid any more.
  public static let authExpired = ErrorKind(rawValue: "authExpired")
  /// The user took the permission back.
  public static let authRevoked = ErrorKind(rawValue: "authRevoked")
  /// The token lacks a scope.
  public static let scopeMissing = ErrorKind(rawValue: "scopeMissing")
  /// Too many requests in a window.
  public static let rateLimited = ErrorKind(rawValue: "rateLimited")
  /// A longer allowance, or money, is used up.
  public static let quotaExceeded = ErrorKind(rawValue: "quotaExceeded")
  /// The platform has trouble.
  public static let platformDown = ErrorKind(rawValue: "platformDown")
  /// The platform refuses the text.
  public static let contentRejected = ErrorKind(rawValue: "contentRejected")
  /// The platform refuses a media file.
  public static let mediaRejected = ErrorKind(rawValue: "mediaRejected")
  /// The platform has this content already.
  public static let duplicate = ErrorKind(rawValue: "duplicate")
  /// A rule of the platform forbids it.
  public static let policyBlocked = ErrorKind(rawValue: "policyBlocked")
  /// The thing does not exist.
  public static let notFound = ErrorKind(rawValue: "notFound")
  /// The account may not do this.
  public static let notPermitted = ErrorKind(rawValue: "notPermitted")
  /// A request was sent and nobody knows what it did.
  public static let outcomeUnknown = ErrorKind(rawValue: "outcomeUnknown")
  /// Answers of prepare steps are too old; the error names the steps to forget.
  public static let prepareExpired = ErrorKind(rawValue: "prepareExpired")
  /// The platform's answer cannot be read.
  public static let platformChanged = ErrorKind(rawValue: "platformChanged")

  private struct Row {
    let code: Int64
    let retry: RetryClass
  }

  private static let table: [ErrorKind: Row] = [
    .parse: Row(code: -32700, retry: .never),
    .invalidRequest: Row(code: -32600, retry: .never),
    .methodNotFound: Row(code: -32601, retry: .never),
    .invalidParams: Row(code: -32602, retry: .never),
    .internal: Row(code: -32603, retry: .retry),
    .versionMismatch: Row(code: -32002, retry: .upgrade),
    .manifestMismatch: Row(code: -32003, retry: .upgrade),
    .connectionLost: Row(code: -32010, retry: .reconcile),
    .frameTooLarge: Row(code: -32011, retry: .reconcile),
    .protocolViolation: Row(code: -32012, retry: .reconcile),
    .overloaded: Row(code: -32020, retry: .after),
    .draining: Row(code: -32021, retry: .after),
    .quarantined: Row(code: -32022, retry: .after),
    .capabilityDenied: Row(code: -32030, retry: .never),
    .egressDenied: Row(code: -32031, retry: .never),
    .ssrfBlocked: Row(code: -32032, retry: .never),
    .upstreamUnreachable: Row(code: -32040, retry: .retry),
    .upstreamTimeout: Row(code: -32041, retry: .reconcile),
    .responseTooLarge: Row(code: -32042, retry: .never),
    .cancelled: Row(code: -32800, retry: .caller),
    .deadlineExceeded: Row(code: -32801, retry: .caller),
    .authExpired: Row(code: 1001, retry: .reauth),
    .authRevoked: Row(code: 1002, retry: .reauth),
    .scopeMissing: Row(code: 1003, retry: .reauth),
    .rateLimited: Row(code: 1010, retry: .after),
    .quotaExceeded: Row(code: 1011, retry: .after),
    .platformDown: Row(code: 1012, retry: .after),
    .contentRejected: Row(code: 1020, retry: .userFix),
    .mediaRejected: Row(code: 1021, retry: .userFix),
    .duplicate: Row(code: 1022, retry: .userFix),
    .policyBlocked: Row(code: 1023, retry: .userFix),
    .notFound: Row(code: 1030, retry: .never),
    .notPermitted: Row(code: 1031, retry: .never),
    .outcomeUnknown: Row(code: 1040, retry: .reconcile),
    .prepareExpired: Row(code: 1041, retry: .retry),
    .platformChanged: Row(code: 1050, retry: .never),
  ]

  private static let byCode: [Int64: ErrorKind] = Dictionary(
    uniqueKeysWithValues: table.map { ($0.value.code, $0.key) }
  )

  /// Every kind that has a code and a retry class.
  public static var known: [ErrorKind] { Array(table.keys) }

  /// The kind of a code, nil for an unknown code.
  public init?(code: ErrorCode) {
    guard let kind = Self.byCode[code.rawValue] else { return nil }
    self = kind
  }

  /// Whether the kind stands in the table.
  public var isKnown: Bool { Self.table[self] != nil }

  /// The code on the wire.
  public var code: ErrorCode { ErrorCode(rawValue: Self.table[self]?.code ?? -32603) }

  /// What the host may do, unless the error says otherwise.
  public var retry: RetryClass { Self.table[self]?.retry ?? .retry }
}
