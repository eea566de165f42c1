/// How an adapter's process is started.
public struct AdapterLaunch: Sendable {
  /// Absolute path of the program.
  public var executable: String
  /// Arguments behind the program's own name: none, unless an interpreter runs a script.
  public var arguments: [String]
  /// The whole environment; a host gives no more than these three.
  public var environment: [String: String]
  /// Descriptors that the process gets as 3, 4 and so on; they stay the caller's.
  public var descriptors: [Int32]

  /// What a host's plugin finds in its environment.
  public static let bareEnvironment = ["LANG": "C.UTF-8", "SWIFT_ROOT": "/", "TZ": "UTC"]

  /// Describes a start.
  public init(
    executable: String,
    arguments: [String] = [],
    environment: [String: String] = AdapterLaunch.bareEnvironment,
    descriptors: [Int32] = []
  ) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
  }
}

/// How a process ended.
public enum AdapterExit: Sendable, Equatable, CustomStringConvertible {
  /// It ended by itself.
  case status(Int32)
  /// A signal ended it.
  case signal(Int32)

  /// The status or the signal, in words.
  public var description: String {
    switch self {
    case .status(let status): "exit status \(status)"
    case .signal(let signal): "signal \(signal)"
    }
  }
}

/// An adapter's process could not be started or spoken to.
public struct AdapterProcessError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What happened, with the system's number where there is one.
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}
