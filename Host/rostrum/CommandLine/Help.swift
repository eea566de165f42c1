import Server

/// The texts of `--help`.
enum Help {
  static func overview(_ commands: [Command]) -> String {
    let width = commands.map { $0.words.joined(separator: " ").count }.max() ?? 0
    let lines = commands.map { "  \(pad($0.words.joined(separator: " "), width))  \($0.summary)" }
    return """
      rostrum \(Host.version): publishes posts to many accounts, once each

      usage: rostrum COMMAND [options]

      \(lines.joined(separator: "\n"))

      `rostrum COMMAND --help` shows what a command takes. Settings come from the environment or from --config FILE.
      """
  }

  static func text(_ command: Command) -> String {
    var usage = "usage: rostrum " + command.words.joined(separator: " ")
    for operand in command.operands { usage += operand.isOptional ? " [\(operand.name)]" : " \(operand.name)" }
    for option in command.options {
      let word = "--\(option.name)" + (option.placeholder.map { " \($0)" } ?? "")
      usage += option.isRequired ? " \(word)" : " [\(word)]"
    }
    let entries =
      command.operands.map { ($0.name, $0.about) }
      + command.allOptions.map { ("--\($0.name)" + ($0.placeholder.map { " \($0)" } ?? ""), $0.about) }
    let width = entries.map(\.0.count).max() ?? 0
    let lines = entries.map { "  \(pad($0.0, width))  \($0.1)" }
    return "\(command.summary)\n\n\(usage)\n\n\(lines.joined(separator: "\n"))"
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
