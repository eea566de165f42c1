import Foundation
import Glibc
import JSONText
import PluginProtocol
import PluginTransport
import Testing

/// Runs the real `plugin-x` as a process.
@Suite struct PluginMainTests {
  private static let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appendingPathComponent("plugin-x")

  /// What a plugin process left behind.
  private struct Outcome {
    let status: Int32
    let output: [UInt8]
    let errors: String
  }

  /// Starts the plugin, gives it `input`, ends its stdin and waits.
  private func run(_ input: String, arguments: [String] = []) throws -> Outcome {
    signal(SIGPIPE, SIG_IGN)
    let process = Process()
    process.executableURL = Self.program
    process.arguments = arguments
    process.environment = [:]
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stderr
    try process.run()
    // A plugin that explains itself may be gone already; its status is what counts.
    do { try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8)) } catch {}
    try stdin.fileHandleForWriting.close()
    let output = Array(stdout.fileHandleForReading.readDataToEndOfFile())
    let errors = String(decoding: stderr.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationReason == .exit)
    return Outcome(status: process.terminationStatus, output: output, errors: errors)
  }

  private func envelopes(_ output: [UInt8]) throws -> [Envelope] {
    var reader = FrameReader()
    var frames: [RawJSON] = []
    reader.consume(output) { event in
      guard case .frame(let frame) = event else {
        Issue.record("the plugin wrote something that is no frame: \(event)")
        return
      }
      frames.append(frame)
    }
    return try frames.map { try Envelope($0) }
  }

  private func initialize(id: String = "x", min: String = "1.0", max: String = "1.0") -> String {
    #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocol":{"min":""# + min + #"","max":""# + max
      + #""},"host":{"name":"rostrum","version":"0"},"plugin":{"id":""# + id
      + #"","version":"1.0.0"},"limits":{"frameBytes":1048576,"inFlight":256}}}"# + "\n"
  }

  @Test(arguments: ["", "hello\n", "hello", "\n", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"post/render\"}\n"])
  func startedByHandItExplainsItselfAndExits64(_ input: String) throws {
    let outcome = try run(input)
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains("plugin"))
    #expect(outcome.errors.contains("x 1.0.0"))
  }

  @Test func withArgumentsItExplainsItselfAndExits64() throws {
    let outcome = try run(initialize(), arguments: ["--help"])
    #expect(outcome.status == 64)
    #expect(outcome.output.isEmpty)
  }

  @Test func aRequestBeforeInitializeIsAnsweredBeforeItExits() throws {
    let outcome = try run("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"post/render\"}\n")
    guard case .failure(4, let error) = try envelopes(outcome.output).first else {
      Issue.record("no error answer")
      return
    }
    #expect(error.kind == .invalidRequest)
  }

  @Test func answersInitializeAndExits0AtTheEndOfInput() throws {
    let outcome = try run(
      initialize() + #"{"jsonrpc":"2.0","method":"initialized","params":{}}"# + "\n"
        + #"{"jsonrpc":"2.0","id":2,"method":"health/check","params":{}}"# + "\n"
        + #"{"jsonrpc":"2.0","id":3,"method":"no/such","params":{}}"# + "\n"
    )
    #expect(outcome.status == 0)
    #expect(outcome.errors == "")
    let answers = try envelopes(outcome.output)
    try #require(answers.count == 3)
    guard case .response(1, let result) = answers[0], case .response(2, _) = answers[1],
      case .failure(3, let error) = answers[2]
    else {
      Issue.record("unexpected answers: \(answers)")
      return
    }
    let answer = try InitializeRequest.Answer(json: result)
    #expect(answer.plugin == PluginIdentity(id: "x", version: "1.0.0", sdk: "swift/1.0.0"))
    #expect(answer.version == .current)
    #expect(Set(answer.methods) == MessageRegistry.platformMethods)
    #expect(error.kind == .methodNotFound)
  }

  @Test func refusesAnotherProtocolAndAnotherPlugin() throws {
    guard case .failure(1, let version) = try envelopes(run(initialize(min: "99.0", max: "99.0")).output).first,
      case .failure(1, let manifest) = try envelopes(run(initialize(id: "y")).output).first
    else {
      Issue.record("no error answer")
      return
    }
    #expect(version.kind == .versionMismatch)
    #expect(manifest.kind == .manifestMismatch)
  }

  @Test func badFramesAreAnsweredAndNotDeadly() throws {
    let bad = [
      "{", "{\"a\":1,\"a\":2}", "{\"x\":\"\u{0}\"}", "\u{FEFF}{}", "stray", "[]", "{\"x\":\"\\ud800\"}",
      String(repeating: "[", count: 65), #"{"jsonrpc":"2.0","id":99999999999999999999,"method":"a"}"#,
      #"{"jsonrpc":"2.0","id":77,"result":1}"#, #"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":12}}"#,
    ]
    let health = #"{"jsonrpc":"2.0","id":9,"method":"health/check"}"# + "\n"
    let outcome = try run(initialize() + bad.map { $0 + "\n" }.joined() + health)
    #expect(outcome.status == 0)
    #expect(try envelopes(outcome.output).last == .response(id: 9, result: .emptyObject))
  }

  @Test func aFrameOverTheCapEndsTheProcess() throws {
    let outcome = try run(initialize() + "{\"a\":\"" + String(repeating: "x", count: 1_100_000) + "\"}\n")
    #expect(outcome.status == 65)
  }

  @Test func rendersOverThePipe() throws {
    let outcome = try run(
      initialize()
        + #"{"jsonrpc":"2.0","id":2,"method":"post/validate","params":{"_meta":{"call":"c1"},"account":{"id":"1","name":"a"},"post":{"text":""}}}"#
        + "\n"
    )
    // The end of input may overtake a call; one that was answered is answered right.
    for case .response(2, let result) in try envelopes(outcome.output) {
      #expect(try Validation(json: result).findings.map(\.code) == ["empty"])
    }
    #expect(outcome.status == 0)
  }
}
