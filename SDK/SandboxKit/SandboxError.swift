/// A reason why the sandbox cannot start; its text is meant for the person who started it.
public struct SandboxError: Error, CustomStringConvertible {
  /// What is wrong.
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}
