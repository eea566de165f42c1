/// How the program ends.
enum ExitCode: Int32, Sendable {
  case success = 0
  /// What was asked for did not work.
  case failure = 1
  /// The command line or the settings are wrong.
  case usage = 2
  /// What was named does not exist.
  case notFound = 3
  /// A person has to approve it first.
  case waits = 4
}

/// An error that is shown as it is.
struct CommandError: Error, Sendable, CustomStringConvertible {
  let code: ExitCode
  let description: String

  init(_ code: ExitCode, _ description: String) {
    self.code = code
    self.description = description
  }
}
