import FoundationEssentials
import Glibc
import HTTPClient
import JSONDocument
import Logging
import PluginHost
import PluginManifest
import Processes
import Server
import ServiceTree

/// `rostrum demo`
enum DemoCommand {
  static let command = Command(
    words: ["demo"],
    summary: "Publish one post to simulated platforms, now and in ten seconds, and keep serving"
  ) { invocation in
    try await run(invocation)
  }

  private static func run(_ invocation: Invocation) async throws -> ExitCode {
    let started = Date()
    let environment = try prepareEnvironment(invocation.environment)
    let first = try HostConfiguration.load(environment: environment, file: invocation.option("config"))
    let screen = DemoScreen(
      terminal: invocation.terminal,
      startedAt: started,
      commandStartedAt: environment["ROSTRUM_DEMO_STARTED_AT"].flatMap { Double($0) }.map(
        Date.init(timeIntervalSince1970:)
      )
    )
    screen.title("Rostrum \(Host.version): the demo")
    try DemoHome.prepare(first.home)
    let installation = Installation.current.directory
    let sandbox = try await SandboxProcess(executable: installation + "/rostrum-sandbox", spawner: try Spawner())
    do {
      screen.show(.done, "The simulated platforms are up", link: sandbox.origin)
      let code = try await run(invocation, environment, first, sandbox, screen)
      await sandbox.stop()
      return code
    } catch {
      await sandbox.stop()
      throw error
    }
  }

  /// The demo brings its own database and its own home.
  private static func prepareEnvironment(_ given: [String: String]) throws -> [String: String] {
    var environment = given.filter { !$0.key.hasPrefix("DATABASE_") && !$0.key.hasPrefix("OAUTH_ENCRYPTION_KEY") }
    if environment["ROSTRUM_HOME"] == nil, environment["ROSTRUM_HOME_FILE"] == nil {
      environment["ROSTRUM_HOME"] = FileManager.default.currentDirectoryPath + "/.rostrum/demo"
    }
    if environment["ROSTRUM_LISTEN"] == nil {
      environment["ROSTRUM_LISTEN"] = "127.0.0.1:\(try DemoHome.freePort(from: 8080))"
    }
    return environment
  }

  private static func run(
    _ invocation: Invocation,
    _ given: [String: String],
    _ first: HostConfiguration,
    _ sandbox: SandboxProcess,
    _ screen: DemoScreen
  ) async throws -> ExitCode {
    let http = try HTTPClient()
    let client = DemoClient(http, origin: sandbox.origin)
    let manifests = try PluginSources(first).manifests
    let platforms = try await DemoPlatforms.prepare(manifests, sandbox: client)
    var environment = given
    environment["ROSTRUM_EGRESS_ALLOW"] = join(given["ROSTRUM_EGRESS_ALLOW"], String(sandbox.origin.dropFirst(7)))
    environment["ROSTRUM_ORIGIN_OVERRIDES"] = try await DemoPlatforms.overrides(manifests, sandbox: client)
    let configuration = try HostConfiguration.load(environment: environment, file: invocation.option("config"))
    let log = try openLog(configuration.home)
    let story = DemoStory(
      screen: screen,
      http: http,
      sandbox: client,
      platforms: platforms,
      tokenFile: configuration.home + "/token"
    )
    let once = environment["ROSTRUM_DEMO_ONCE"] == "1"
    let logger = Logger(sink: JSONLinesSink(descriptor: log), minimumLevel: configuration.logLevel)
    defer { close(log) }
    let performance = DemoPerformance(story: story, configuration: configuration, logger: logger, endsAfterStory: once)
    let report = try await performance.run()
    await http.close(within: .seconds(1))
    guard once else { return .success }
    guard let report else { throw CommandError(.failure, "The demo was stopped before its end") }
    invocation.terminal.print(report.json.text())
    return report.isGood ? .success : .failure
  }

  private static func join(_ first: String?, _ second: String) -> String {
    guard let first, !first.isEmpty else { return second }
    return first + "," + second
  }

  /// The host's log of a demo goes to a file, so that the terminal shows the story alone.
  private static func openLog(_ home: String) throws -> Int32 {
    let descriptor = unsafe open(home + "/host.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandError(.failure, "\(home)/host.log can not be written (error \(errno))") }
    return descriptor
  }
}
