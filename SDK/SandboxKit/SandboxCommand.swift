import Glibc

/// The program `rostrum-sandbox`.
public enum SandboxCommand {
  /// What the command line asks for.
  struct Options {
    var configuration = SandboxConfiguration()
    var exitsWithInput = false
    var showsHelp = false
  }

  static let usage = """
    usage: rostrum-sandbox [options]

    Simulates platforms strictly on one HTTP port, with faults on demand and a ledger of what was published.
    The first line on stdout is {"listening":"http://HOST:PORT"}.

      --port N                 port to listen on; 0 (the default) takes a free one
      --host ADDRESS           IPv4 address to listen on (127.0.0.1); whoever reaches it controls the sandbox
      --account NAME:TOKEN     an account of every platform that has accounts; may be repeated
      --x-account NAME:TOKEN   an account of X with this access token; may be repeated
      --microblog-account NAME:TOKEN   an account of Microblog with this access token; may be repeated
      --app PLATFORM:ID:SECRET:ADDRESS   an app with the address that people come back to; may be repeated
      --hook NAME:SECRET       an endpoint /hooks/NAME with this signing secret (whsec_…); may be repeated
      --unlimited              no rate limits, for load tests
      --delay-ms N             time between a request and its effect
      --connections N          most connections at once (2000)
      --exit-with-stdin        end when stdin ends, so that the sandbox never outlives its parent
      --help                   this text

    """

  /// Runs until SIGTERM or SIGINT, or the end of stdin if asked; returns the exit status.
  ///
  /// - Parameter arguments: the command line without the program's name.
  public static func run(_ arguments: [String]) -> Int32 {
    let options: Options
    do throws(SandboxError) {
      options = try parse(arguments)
    } catch {
      write("rostrum-sandbox: \(error.description)\n\(usage)", to: STDERR_FILENO)
      return 64
    }
    if options.showsHelp {
      write(usage, to: STDOUT_FILENO)
      return 0
    }
    raiseFileLimit()
    // Blocked before any thread starts, so that all inherit it and only sigwait below takes the signals.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGTERM)
    unsafe sigaddset(&signals, SIGINT)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    let sandbox = Sandbox(configuration: options.configuration)
    do throws(SandboxError) {
      let port = try sandbox.start()
      let line = JSONWriter.object { $0.member("listening", "http://\(options.configuration.host):\(port)") }
      write(String(decoding: line, as: UTF8.self) + "\n", to: STDOUT_FILENO)
    } catch {
      write("rostrum-sandbox: \(error.description)\n", to: STDERR_FILENO)
      return 1
    }
    if options.exitsWithInput {
      guard Thread.start({ waitForEndOfInput() }) else {
        write("rostrum-sandbox: the system refused a thread\n", to: STDERR_FILENO)
        return 1
      }
    }
    var received: Int32 = 0
    while unsafe sigwait(&signals, &received) != 0 {}
    sandbox.stop()
    return 0
  }

  private static func waitForEndOfInput() {
    var scratch = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe scratch.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
      if count > 0 || count < 0 && errno == EINTR { continue }
      kill(getpid(), SIGTERM)
      return
    }
  }

  /// Two thousand connections do not fit the usual soft limit of 1024 files.
  private static func raiseFileLimit() {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes[sent...].withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      // Nobody reads: there is nobody to tell either.
      if count <= 0 { return }
      sent += count
    }
  }

  // MARK: Command line

  static func parse(_ arguments: [String]) throws(SandboxError) -> Options {
    var options = Options()
    var settings = SandboxSettings()
    var rest = arguments[...]
    while let name = rest.popFirst() {
      switch name {
      case "--help", "-h": options.showsHelp = true
      case "--unlimited": settings.rateLimits = false
      case "--exit-with-stdin": options.exitsWithInput = true
      case "--host": options.configuration.host = try value(of: name, &rest)
      case "--port": options.configuration.port = UInt16(try number(name, &rest, 0...65_535))
      case "--delay-ms": settings.baseDelayMs = try number(name, &rest, 0...3_600_000)
      case "--connections": options.configuration.maximumConnections = try number(name, &rest, 1...30_000)
      case "--account":
        let (name, token) = try pair(name, &rest)
        options.configuration.accounts.append(.init(username: name, token: token))
        options.configuration.microblogAccounts.append(.init(username: name, token: token))
        options.configuration.consentAccounts.append(.init(username: name, token: token))
      case "--app": options.configuration.apps.append(try app(name, &rest))
      case "--x-account":
        let (name, token) = try pair(name, &rest)
        options.configuration.accounts.append(.init(username: name, token: token))
      case "--microblog-account":
        let (name, token) = try pair(name, &rest)
        options.configuration.microblogAccounts.append(.init(username: name, token: token))
      case "--hook":
        let (name, secret) = try pair(name, &rest)
        options.configuration.hooks.append(.init(name: name, secret: secret))
      default: throw SandboxError("unknown option \(name)")
      }
    }
    options.configuration.settings = settings
    return options
  }

  private static func value(of name: String, _ rest: inout ArraySlice<String>) throws(SandboxError) -> String {
    guard let value = rest.popFirst() else { throw SandboxError("\(name) needs a value") }
    return value
  }

  private static func number(
    _ name: String,
    _ rest: inout ArraySlice<String>,
    _ range: ClosedRange<Int>
  ) throws(SandboxError) -> Int {
    guard let number = Int(try value(of: name, &rest)), range.contains(number) else {
      throw SandboxError("\(name) needs a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// `PLATFORM:ID:SECRET:ADDRESS`; the address has colons of its own.
  private static func app(
    _ name: String,
    _ rest: inout ArraySlice<String>
  ) throws(SandboxError) -> SandboxConfiguration.App {
    let parts = try value(of: name, &rest).split(separator: ":", maxSplits: 3).map(String.init)
    guard parts.count == 4 else { throw SandboxError("\(name) needs PLATFORM:ID:SECRET:ADDRESS") }
    return .init(platform: parts[0], clientID: parts[1], secret: parts[2], redirectAddresses: [parts[3]])
  }

  private static func pair(
    _ name: String,
    _ rest: inout ArraySlice<String>
  ) throws(SandboxError) -> (String, String) {
    let text = try value(of: name, &rest)
    guard let colon = text.firstIndex(of: ":") else { throw SandboxError("\(name) needs NAME:SECRET") }
    return (String(text[..<colon]), String(text[text.index(after: colon)...]))
  }
}
