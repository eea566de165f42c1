internal import CHostShims
internal import Glibc

/// Why a program could not be started.
package struct SpawnError: Error, Equatable, CustomStringConvertible {
  /// What failed.
  package enum Step: String, Sendable {
    case arguments = "reading the request"
    case pipe = "making a pipe"
    case thread = "starting a thread"
    case clone = "making a process"
    case session = "making a session"
    case streams = "setting up the standard streams"
    case close = "closing descriptors"
    case user = "changing the user"
    case directory = "entering the working directory"
    case parent = "watching the parent"
    case execute = "executing the program"
  }

  package let step: Step
  /// The `errno`.
  package let code: Int32
  package let executable: String

  package init(step: Step, code: Int32, executable: String) {
    self.step = step
    self.code = code
    self.executable = executable
  }

  package var description: String {
    "Cannot start \(executable): \(step.rawValue) failed: \(SystemError.text(of: code))"
  }
}

extension SpawnError.Step {
  init(shimStep: Int32) {
    switch shimStep {
    case CHOSTSHIMS_STEP_SESSION: self = .session
    case CHOSTSHIMS_STEP_STREAMS: self = .streams
    case CHOSTSHIMS_STEP_CLOSE: self = .close
    case CHOSTSHIMS_STEP_USER: self = .user
    case CHOSTSHIMS_STEP_DIRECTORY: self = .directory
    case CHOSTSHIMS_STEP_PARENT: self = .parent
    case CHOSTSHIMS_STEP_EXECUTE: self = .execute
    default: self = .clone
    }
  }
}

/// Texts for system error numbers.
package enum SystemError {
  /// The system's text for an `errno`.
  package static func text(of code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard unsafe strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
