import FoundationEssentials
import Glibc
import JSONText
import Logging
import PluginProtocol
import Processes
import Testing

@testable import PluginHost

/// Whatever a plugin writes, the host's reader answers it, logs it or ends the plugin; it never fails itself.
///
/// The short form runs in `make test`; ROSTRUM_LONG=1 runs a million frames. The seed is printed; ROSTRUM_SEED repeats
/// a run.
@Suite(.timeLimit(.minutes(30))) struct PluginReaderFuzzTests {
  private static let frames =
    ProcessInfo.processInfo.environment["ROSTRUM_LONG"] == "1" ? 1_000_000 : 20_000

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

  private static let splinters = [
    "9223372036854775808", "99999999999999999999999", "-1", "1e400", "0.1", "\"", "\\u0000", "\\ud800", "{", "}", "[",
    "]", ":", ",", "null", "true", "\0", "\u{7F}", "\"id\":1,\"id\":2", String(repeating: "[", count: 2_000),
  ]

  /// Numbers that a seed repeats.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }
  }

  @Test func survivesAnyMutationOfAnyFrame() async throws {
    let environment = ProcessInfo.processInfo.environment
    let seed = environment["ROSTRUM_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = Generator(state: seed)
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

  private static func mutated(call: String, number: Int64, _ random: inout Generator) -> [UInt8] {
    func seed(_ random: inout Generator) -> [UInt8] {
      let text = seeds[Int.random(in: 0..<seeds.count, using: &random)]
      return Array(text.replacing("CALL", with: call).replacing("ID", with: "\(number)").utf8)
    }
    var bytes = seed(&random)
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      let place = Int.random(in: 0...bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.insert(contentsOf: splinters[Int.random(in: 0..<splinters.count, using: &random)].utf8, at: place)
      case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0...20, using: &random)))
      case 3: bytes.insert(contentsOf: bytes[place...].prefix(40), at: place)
      case 4: bytes = bytes[..<place] + seed(&random).suffix(60)
      default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
      }
    }
    return bytes + [0x0A]
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
