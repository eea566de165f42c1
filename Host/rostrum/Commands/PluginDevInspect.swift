import FoundationEssentials
import JSONDocument
import Server

/// `rostrum plugin inspect`: what a running plugin and its host say to each other.
enum PluginDevInspect {
  static let command = Command(
    words: ["plugin", "inspect"],
    summary: "Show the frames of a plugin of a running host as they pass, with the time each answer took",
    operands: [.init(name: "PLUGIN", about: "the plugin's id")],
    options: [
      .value("port", "N", "the host's port on this machine; of ROSTRUM_LISTEN when left out"),
      .value("token-file", "FILE", "a file with an operator's API token (`rostrum token create`)", required: true),
      .value("count", "N", "end after so many frames"),
    ]
  ) { invocation in
    let path = "/api/plugins/\(invocation.operand(0))/frames"
    let stream = try await EventStream(port: try port(invocation), path: path, token: try token(invocation))
    let most = try invocation.option("count").map { try invocation.id($0, "--count") }
    var clock = AnswerClock()
    var count: Int64 = 0
    for await event in stream.events where event.kind == "frame" {
      let elapsed = clock.take(event.data)
      if invocation.wantsJSON {
        invocation.terminal.print(event.data.text())
      } else {
        show(event.data, elapsed, invocation.terminal)
      }
      count += 1
      if let most, count >= most { break }
    }
    stream.close()
    return .success
  }

  /// Finds out how long answers took.
  private struct AnswerClock {
    private var asked: [String: Date] = [:]

    /// Milliseconds since the request that this frame answers; nil for anything but an answer.
    mutating func take(_ frame: JSONValue) -> Int? {
      guard let id = frame["id"]?.int64Value, let at = frame["at"]?.stringValue.flatMap(RFC3339.parse) else {
        return nil
      }
      let toPlugin = frame["toPlugin"]?.boolValue == true
      if frame["method"]?.stringValue != nil {
        asked["\(toPlugin) \(id)"] = at
        return nil
      }
      // An answer goes the other way than its request.
      return asked.removeValue(forKey: "\(!toPlugin) \(id)").map { Int((at.timeIntervalSince($0) * 1_000).rounded()) }
    }
  }

  private static func show(_ frame: JSONValue, _ elapsed: Int?, _ terminal: Terminal) {
    let arrow = frame["toPlugin"]?.boolValue == true ? terminal.styled("→", .green) : terminal.styled("←", .blue)
    let time = (frame["at"]?.stringValue ?? "").split(separator: "T").last.map(String.init) ?? ""
    let took = elapsed.map { terminal.styled(" \($0) ms", .yellow) } ?? ""
    terminal.print("\(terminal.styled(time, .dim)) \(arrow)\(took) \(frame["text"]?.stringValue ?? "")")
  }

  private static func port(_ invocation: Invocation) throws -> UInt16 {
    if let text = invocation.option("port") {
      guard let port = UInt16(text), port > 0 else {
        throw CommandError(.usage, "--port is “\(text)”; allowed is a number from 1 to 65535")
      }
      return port
    }
    return try invocation.configuration().listen.port
  }

  private static func token(_ invocation: Invocation) throws(CommandError) -> String {
    let text = String(decoding: try PluginDevAdapter.bytes(invocation.option("token-file") ?? ""), as: UTF8.self)
    return String(text.prefix { !$0.isWhitespace })
  }
}
