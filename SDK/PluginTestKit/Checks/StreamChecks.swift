import JSONText
import PluginProtocol
import PluginTransport

/// Group 2: frames, whatever shape they come in.
enum StreamChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("stream.byte-at-a-time", "works when stdin arrives one byte at a time") { context in
      let process = try await context.raw(initialized: false)
      process.trickle(context.initializeFrame() + CheckContext.health(2))
      _ = try await context.answer(1, from: process, to: "initialize")
      _ = try await context.answer(2, from: process, to: "health/check")
      return nil
    },
    ConformanceCheck("stream.thousand-frames", "answers a thousand frames that come in one write") { context in
      let process = try await context.raw()
      process.send((2...1_001).flatMap { CheckContext.health(Int64($0)) })
      let answered = await process.first(within: context.limit(.seconds(20))) { output in
        output.frames.count > 1_000 ? true : nil
      }
      try require(answered != nil, "answered \(process.current.frames.count - 1) of 1000")
      return nil
    },
    ConformanceCheck("stream.concurrent", "keeps 32 calls apart whose requests are answered in reverse order") {
      context in
      let post = try context.post()
      let host = try await context.host { number, _, _ in number <= 32 ? .held : nil }
      let session = try await context.session(host: host)
      return try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 1...32 {
          group.addTask {
            do { _ = try await session.publish(post) } catch let error as ProtocolError
              where error.kind != .connectionLost
            {}
          }
        }
        let together = await host.waitUntilHolding(32, within: context.limit(.seconds(15)))
        host.release()
        try await group.waitForAll()
        try require(session.process.current.exit == nil, "the adapter ended")
        return together ? nil : "works on its calls one after another"
      }
    },
    ConformanceCheck("stream.unknown-members", "ignores members that it does not know") { context in
      let process = try await context.raw()
      process.send(
        CheckContext.line(
          #"{"trace":{"id":[1,null]},"jsonrpc":"2.0","id":2,"method":"health/check","params":{"later":true}}"#
        )
      )
      guard case .response = try await context.answer(2, from: process, to: "health/check with more members") else {
        throw CheckFailure("refused unknown members")
      }
      return nil
    },
    ConformanceCheck("stream.unknown-notification", "ignores notifications that it does not know") { context in
      let process = try await context.raw()
      process.send(CheckContext.line(#"{"jsonrpc":"2.0","method":"$/later","params":{"a":1}}"#))
      process.send(CheckContext.line(#"{"jsonrpc":"2.0","method":"$/cancel","params":{"id":4711}}"#))
      try await context.requireAlive(process, after: "an unknown notification")
      try require(process.current.frames.count == 2, "answered a notification")
      return nil
    },
    ConformanceCheck("stream.unknown-method", "refuses methods that it does not have with -32601") { context in
      let process = try await context.raw()
      process.send(CheckContext.line(#"{"jsonrpc":"2.0","id":2,"method":"post/no-such","params":{}}"#))
      let error = try await context.failure(2, from: process, to: "post/no-such")
      try require(error.code == ErrorKind.methodNotFound.code, "refused with \(error.code.rawValue)")
      return nil
    },
    ConformanceCheck("stream.large-frame", "takes a frame of nearly 1 MiB") { context in
      let process = try await context.raw()
      let padding = String(repeating: "x", count: 1_048_576 - 200)
      process.send(
        CheckContext.line(#"{"jsonrpc":"2.0","id":2,"method":"health/check","params":{"padding":""# + padding + #""}}"#)
      )
      _ = try await context.answer(2, from: process, to: "a large health/check")
      return nil
    },
    ConformanceCheck("stream.bad-params", "refuses params of another shape with -32602 and names the field") {
      context in
      let process = try await context.raw()
      process.send(
        CheckContext.line(
          #"{"jsonrpc":"2.0","id":2,"method":"post/render","params":{"_meta":{"call":"c"},"account":{},"post":7}}"#
        )
      )
      let error = try await context.failure(2, from: process, to: "post/render with a number as post")
      try require(error.code == ErrorKind.invalidParams.code, "refused with \(error.code.rawValue)")
      try require(error.field?.hasPrefix("post") == true, "names the field \(error.field ?? "not"), it is post")
      return nil
    },
    ConformanceCheck("stream.hostile-frames", "answers or ignores frames that are no messages, and goes on") {
      context in
      for (name, frame) in hostileFrames {
        let process = try await context.raw()
        process.send(frame)
        try await context.requireAlive(process, after: name)
      }
      return nil
    },
  ]

  /// Looks at everything that the run wrote, so it comes last.
  static let cleanOutput = ConformanceCheck("stream.clean-output", "never writes anything but frames to stdout") {
    context in
    let counts = context.ledger.counts
    try require(counts.strays == 0, "wrote \(counts.strays) other lines, the first: \(counts.firstStray ?? "")")
    try require(counts.malformed == 0, "wrote \(counts.malformed) lines that begin with { and are not JSON")
    return "\(counts.frames) frames"
  }

  private static let hostileFrames: [(String, [UInt8])] = [
    ("half a surrogate pair", CheckContext.line(#"{"jsonrpc":"2.0","id":2,"method":"\ud800"}"#)),
    ("a NUL byte", Array("{\"a\":\"\u{0}\"}\n".utf8)),
    ("a byte-order mark", CheckContext.line("\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"a\"}")),
    ("a key that comes twice", CheckContext.line(#"{"jsonrpc":"2.0","id":2,"id":3,"method":"a"}"#)),
    (
      "65 levels",
      CheckContext.line(
        #"{"jsonrpc":"2.0","id":2,"method":"a","params":{"a":"# + String(repeating: "[", count: 65)
          + String(repeating: "]", count: 65) + "}}"
      )
    ),
    ("100,000 open brackets", CheckContext.line(#"{"a":"# + String(repeating: "[", count: 100_000))),
    ("an id beyond 64 bits", CheckContext.line(#"{"jsonrpc":"2.0","id":99999999999999999999999,"method":"a"}"#)),
    ("an id that is a text", CheckContext.line(#"{"jsonrpc":"2.0","id":"one","method":"a"}"#)),
    ("a number with 400 digits", CheckContext.line(#"{"a":1"# + String(repeating: "0", count: 400) + "}")),
    ("bytes that are no UTF-8", [0x7B, 0x22, 0xC3, 0x28, 0x22, 0x3A, 0x31, 0x7D, 0x0A]),
    ("an answer to nothing", CheckContext.line(#"{"jsonrpc":"2.0","id":4711,"result":{}}"#)),
    ("an empty line", [0x0A]),
    ("a list", CheckContext.line("[1,2,3]")),
    ("params that are a list", CheckContext.line(#"{"jsonrpc":"2.0","id":2,"method":"post/render","params":[1]}"#)),
  ]
}
