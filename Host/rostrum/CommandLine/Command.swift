/// One thing that the program does: its words, what it takes, and its work.
struct Command: Sendable {
  /// An option that begins with two dashes.
  struct Option: Sendable {
    /// Without dashes.
    let name: String
    /// The word for the value in the help; nil for a flag.
    let placeholder: String?
    let about: String
    var isRequired = false

    static func flag(_ name: String, _ about: String) -> Option {
      Option(name: name, placeholder: nil, about: about)
    }

    static func value(_ name: String, _ placeholder: String, _ about: String, required: Bool = false) -> Option {
      Option(name: name, placeholder: placeholder, about: about, isRequired: required)
    }
  }

  /// A value without a name.
  struct Operand: Sendable {
    let name: String
    let about: String
    /// Whether it may be left out; only the last ones may.
    var isOptional = false
  }

  /// Such as `token create`.
  let words: [String]
  let summary: String
  var operands: [Operand] = []
  var options: [Option] = []
  let run: @Sendable (Invocation) async throws -> ExitCode

  /// What every command takes.
  static let common: [Option] = [
    .value("config", "FILE", "read settings from this file too; the environment wins"),
    .flag("json", "print JSON for programs"),
    .flag("help", "show this text"),
  ]

  var allOptions: [Option] { options + Self.common }
}
