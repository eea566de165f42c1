import Glibc
import JSONDocument
import Logging
import Processes
import Server

/// The program: finds the command, runs it, and ends with its code.
@main
enum Rostrum {
  static let commands: [Command] =
    [ServeCommand.command, DemoCommand.command, MigrateCommand.command, DoctorCommand.command] + UserCommands.all
    + TokenCommands.all + SiteCommands.all + LimitCommands.all + WebhookCommands.all
    + NoticeCommands.all + VaultCommands.all + AuditCommands.all + IssuerCommands.all
    + [WhyCommand.command] + HoldCommands.all + BackupCommands.all
    + PluginCommands.all + PluginDevCommands.all

  static func main() async {
    // First: they are found from where the environment lies, which wiping may move.
    let words = Array(CommandLine.arguments.dropFirst())
    // Before anything starts a thread, so that no other reads the environment meanwhile.
    let environment = ProcessEnvironment.take()
    // A reader that goes away ends the output, not the program.
    _ = signal(SIGPIPE, SIG_IGN)
    ProcessMemory.returnLargeBlocks()
    // Before any key is read. A process may always lower its own limits.
    _ = ProcessMemory.forbidDumps()
    let sink = JSONLinesSink()
    let code = await run(words, environment, sink)
    sink.flush()
    exit(code.rawValue)
  }

  private static func run(_ words: [String], _ environment: [String: String], _ sink: JSONLinesSink) async -> ExitCode {
    let terminal = Terminal(environment: environment)
    switch words.first {
    case "--version", "version":
      terminal.print("rostrum \(Host.version)")
      return .success
    case "--help", "-h", "help":
      terminal.print(Help.overview(commands))
      return .success
    case nil:
      terminal.complain(Help.overview(commands))
      return .usage
    default: break
    }
    let wantsJSON = words.contains("--json")
    do {
      let (command, rest) = try find(words)
      let arguments = try Arguments(rest, for: command)
      if arguments.flags.contains("help") {
        terminal.print(Help.text(command))
        return .success
      }
      let invocation = Invocation(arguments: arguments, environment: environment, terminal: terminal, sink: sink)
      return try await Logger.$current.withValue(invocation.quietLogger) {
        try await command.run(invocation)
      }
    } catch {
      let (code, text) = Failures.describe(error)
      // The log goes to the same place, so what it still holds comes first.
      sink.flush()
      if wantsJSON {
        let problem: JSONValue = ["success": false, "error": ["code": .string("\(code)"), "message": .string(text)]]
        terminal.print(problem.text())
      } else {
        terminal.complain("rostrum: \(text)")
      }
      return code
    }
  }

  private static func find(_ words: [String]) throws(CommandError) -> (Command, [String]) {
    if let command = commands.first(where: { words.starts(with: $0.words) }) {
      return (command, Array(words.dropFirst(command.words.count)))
    }
    let family = commands.filter { $0.words.first == words[0] }
    guard family.isEmpty else {
      let known = family.map { "`rostrum \($0.words.joined(separator: " "))`" }.joined(separator: ", ")
      throw CommandError(.usage, "`rostrum \(words[0])` needs one word more: \(known)")
    }
    let known = commands.map(\.words[0])
    throw CommandError(
      .usage,
      "There is no command “\(words[0])”\(Suggestion.text(words[0], among: known)); `rostrum --help` shows all"
    )
  }
}
