package import PluginProtocol

/// Why a call has no result.
package enum PluginFailure: Error, Sendable, Equatable {
  /// No plugin of that name is installed.
  case notInstalled(String)
  /// The plugin's manifest does not list the method.
  case methodNotDeclared(String)
  /// The request alone is longer than a frame may be.
  case requestTooLarge(bytes: Int)
  /// The plugin did not come up.
  case startFailed(String)
  /// The plugin failed and is started again after this time.
  case backingOff(retryAfter: Duration)
  /// The plugin failed too often and is not started before this time.
  case quarantined(String, retryAfter: Duration)
  /// The version that the work began on is not there any more.
  case versionGone(String)
  /// Processes of the plugin died under this very job, so it is not given to them again.
  case jobParked(String)
  /// Too many calls are open, or the plugin does not read fast enough.
  case overloaded
  /// The host is stopping.
  case shuttingDown
  /// The plugin died while the call was open.
  case connectionLost(String)
  /// The plugin broke a rule of the protocol while the call was open, and was ended.
  case protocolViolation(String)
  /// The plugin did not answer in time.
  case deadlineExceeded
  /// The caller gave the call up.
  case cancelled
  /// The plugin answered with an error.
  case remote(ProtocolError)

  /// Whether the plugin's process ended under the call.
  package var isCrash: Bool {
    switch self {
    case .connectionLost, .protocolViolation: true
    default: false
    }
  }

  /// Whether the plugin may have seen the call. When false, nothing of it can have happened.
  package var mayHaveRun: Bool {
    switch self {
    case .notInstalled, .methodNotDeclared, .requestTooLarge, .startFailed, .backingOff,
      .quarantined, .versionGone, .jobParked, .overloaded, .shuttingDown:
      false
    case .connectionLost, .protocolViolation, .deadlineExceeded, .cancelled, .remote:
      true
    }
  }

  /// When trying again makes sense, where that is known.
  package var retryAfter: Duration? {
    switch self {
    case .backingOff(let retryAfter), .quarantined(_, let retryAfter): retryAfter
    case .overloaded: .seconds(1)
    case .versionGone: .zero
    case .remote(let error): error.retryAfterMs.map { .milliseconds($0) }
    default: nil
    }
  }

  /// The name of the error kind that stands for this failure in the protocol.
  package var kind: String {
    errorKind.rawValue
  }

  private var errorKind: ErrorKind {
    switch self {
    case .notInstalled, .startFailed, .backingOff, .quarantined, .versionGone: .quarantined
    case .jobParked: .jobParked
    case .methodNotDeclared: .methodNotFound
    case .requestTooLarge: .frameTooLarge
    case .overloaded: .overloaded
    case .shuttingDown: .draining
    case .connectionLost: .connectionLost
    case .protocolViolation: .protocolViolation
    case .deadlineExceeded: .deadlineExceeded
    case .cancelled: .cancelled
    case .remote(let error): error.kind
    }
  }
}

extension PluginFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notInstalled(let name): "no plugin named \(name) is installed"
    case .methodNotDeclared(let method): "the plugin does not answer \(method)"
    case .requestTooLarge(let bytes): "the request of \(bytes) bytes is longer than a frame may be"
    case .startFailed(let reason): "the plugin could not be started: \(reason)"
    case .backingOff(let after): "the plugin failed and is started again in \(after)"
    case .quarantined(let reason, let after):
      "the plugin is in quarantine (\(reason)) and is tried again in \(after)"
    case .versionGone(let version): "version \(version) of the plugin, on which this began, is not installed any more"
    case .jobParked(let reason): "the plugin died of this job more than once, so it is not tried again: \(reason)"
    case .overloaded: "the plugin has too many open calls"
    case .shuttingDown: "the host is stopping"
    case .connectionLost(let reason): "the plugin died during the call: \(reason)"
    case .protocolViolation(let reason): "the plugin broke the protocol: \(reason)"
    case .deadlineExceeded: "the plugin did not answer in time"
    case .cancelled: "the call was cancelled"
    case .remote(let error): "the plugin answered with an error: \(error)"
    }
  }
}

extension ErrorKind {
  /// The host's own word for a job under which plugins die; never on the wire.
  fileprivate static let jobParked = ErrorKind(rawValue: "jobParked")
}

extension PluginStopReason {
  /// What the open calls of the process end with.
  var failure: PluginFailure {
    switch self {
    case .protocolViolation(let text): .protocolViolation(text)
    default: .connectionLost("\(self)")
    }
  }
}
