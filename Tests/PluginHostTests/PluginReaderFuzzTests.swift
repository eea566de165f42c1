import FuzzSupport
import Glibc
import JSONText
import Logging
import PluginProtocol
import Processes
import Testing

@testable import PluginHost

/// Whatever a plugin writes, the host's reader answers it, logs it or ends the plugin; it never fails itself.
@Suite(.timeLimit(.minutes(60))) struct PluginReaderFuzzTests {
  private static let frames = FuzzRun.cases(20_000)

  /// What an honest plugin may say; `CALL` and `ID` stand for the open call and a number.
  private static let seeds = [
    #"{"jsonrpc":"2.0","id":ID,"result":{"remoteId":"1","url":"https://a.example/1","warnings":[]}}"#,
    #"{"jsonrpc":"2.0","id":ID,"error":{"code":1010,"message":"slow","data":{"kind":"rateLimited","retryAfterMs":5}}}"#,
    #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what"}}"#,
    #"{"jsonrpc":"2.0","id":ID,"method":"host/http","params":{"call":"CALL","rule":"r","step":"s","json":{"a":[1,2]}}}"#,
    #"{"jsonrpc":"2.0","id":ID,"method":"host/media.read","params":{"call":"CALL","handle":"m1","offset":0}}"#,
    #"{"jsonrpc":"2.0","method":"host/log","params":{"level":"info","message":"hi","fields":{"n":1,"t":"x"}}}"#,
    #"{"jsonrpc":"2.0","method":"host/progress","params":{"call":"CALL","fraction":0.5,"note":"half"}}"#,
    #"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":ID}}"#,
    #"{"jsonrpc":"2.0","id":ID,"result":{"protocol":"1.0","plugin":{"id":"test","version":"1.0.0"},"methods":["a"]}}"#,
    "stray words", "", "\u{FEFF}{}", "{", "[]", "{\"a\":\"\u{1F600}\"}",
  ]

  @Test func survivesAnyMutationOfAnyFrame() async throws {
    var random = FuzzRun.random("frames of a plugin")
    let spawner = try Spawner()
    let bench = try await Bench(spawner)
    var faults = 0
    for _ in 0..<Self.frames {
      let open = try bench.openCall()
      let frame = Self.mutated(call: open.id, number: open.number, &random)
      var reader = bench.reader()
      var offset = 0
      while offset < frame.count {
        let end = min(frame.count, offset + Int.random(in: 1...max(1, frame.count), using: &random))
        reader.consume(Array(frame[offset..<end]))
        offset = end
      }
      if reader.hasFault { faults += 1 }
    }
    // Both kinds were met, so the mutations are neither too tame nor too wild.
    #expect(faults > Self.frames / 20 && faults < Self.frames * 19 / 20, "\(faults) of \(Self.frames)")
    #expect(bench.answered > Self.frames / 100)
    bench.end()
  }

  private static func mutated(call: String, number: Int64, _ random: inout FuzzRandom) -> [UInt8] {
    func seed(_ random: inout FuzzRandom) -> [UInt8] {
      Array(random.one(of: seeds).replacing("CALL", with: call).replacing("ID", with: "\(number)").utf8)
    }
    let first = seed(&random)
    return ByteMutator.json.mutate(first, with: seed(&random), &random) + [0x0A]
  }

  /// A process that says nothing, and readers that are told what it said.
  private final class Bench {
    private let process: PluginProcess
    private let numbers = CallNumbers()
    private let log = FrameLog()
    private let journal: PluginJournal
    private let handshake: Handshake
    private var calls: [PluginCall] = []
    private(set) var answered = 0

    init(_ spawner: Spawner) async throws {
      let child = try await spawner.spawn(
        SpawnRequest(
          executable: "/bin/cat",
          standardInput: .pipe,
          standardOutput: .null,
          standardError: .null
        )
      )
      let counters = PluginCounters()
      let input = try #require(child.standardInput)
      journal = PluginJournal(logger: Logger(sink: MemorySink(), minimumLevel: .fault), counters: counters)
      handshake = Handshake(manifest: try ScriptedPlugin.manifest(), hostVersion: "1")
      process = try PluginProcess(
        child: child,
        input: input,
        inFlight: 256,
        numbers: numbers,
        frames: log,
        counters: counters
      ) { _ in }
      process.open()
    }

    /// Opens a call when the one before has ended.
    func openCall() throws -> PluginCall {
      if let last = calls.last, last.isOpen { return last }
      if !calls.isEmpty { answered += 1 }
      let call = PluginCall(number: numbers.next(), process: process, pluginVersion: "1")
      try process.begin(call, method: "post/publish", params: .emptyObject, attempt: 1, deadline: .seconds(3_600))
      calls = [call]
      return call
    }

    func reader() -> PluginReader {
      PluginReader(
        process: process,
        handshake: handshake,
        handshakeNumber: numbers.next(),
        journal: journal,
        log: log,
        isReady: true
      ) { _ in }
    }

    func end() {
      process.child.send(signal: SIGKILL)
    }
  }
}
