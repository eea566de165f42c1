internal import FoundationEssentials
internal import JSONText
internal import Logging
internal import PluginHost
internal import PluginManifest
internal import Processes
internal import ServiceTree
internal import Synchronization

/// Measures calls of a real plugin through the real host side: frames, pipes, deadlines, mailboxes.
struct PluginBench {
  struct Report {
    /// Microseconds of one call.
    var p50 = 0.0
    var p99 = 0.0
    var callsPerSecond = 0.0
    /// Bytes of the line that goes to the plugin, and of the line that comes back; close to it.
    var requestBytes = 0
    var replyBytes = 0
  }

  private static let account = #"""
    {"id":"7","name":"Benchmark","handle":"benchmark","capabilities":{"text":{"limit":280,"target":280,
    "unit":"weighted"},"media":{"images":4,"imageBytes":5242880,"imageTypes":["image/png"],"altLimit":1000,
    "videos":0},"features":["delete"]}}
    """#.filter { $0 != "\n" }
  private static let post = #"{"text":"A post of the benchmark, as long as posts are.","tags":[],"mentions":[]}"#
  /// What the host puts around the parameters.
  private static let frameBytes = 130

  let plugin: InstalledPlugin

  init(plugin: InstalledPlugin) {
    self.plugin = plugin
  }

  /// The plugin without a jail.
  init(manifest: String, executable: String) throws {
    guard let bytes = FileManager.default.contents(atPath: manifest) else {
      throw BenchError("The manifest \(manifest) cannot be read")
    }
    plugin = InstalledPlugin(manifest: try PluginManifest.parse(Array(bytes)), executable: executable)
  }

  /// What a call of `post/validate` carries.
  static func parameters() throws -> RawJSON {
    try RawJSON(text: "{\"account\":\(account),\"post\":\(post)}")
  }

  /// - Parameters:
  ///   - calls: How many are measured; a tenth more goes before them.
  ///   - depth: How many are open at once.
  func run(calls: Int, depth: Int) async throws -> Report {
    let host = PluginHost(plugins: [plugin], spawner: try Spawner(), logger: Logger.current)
    let shutdown = Shutdown()
    return try await withThrowingTaskGroup(of: Report?.self) { group in
      group.addTask {
        try await Shutdown.$current.withValue(shutdown) { try await host.run() }
        return nil
      }
      group.addTask {
        defer { shutdown.request() }
        _ = try await measure(host, plugin.manifest.id, calls: max(1, calls / 10), depth: depth)
        return try await measure(host, plugin.manifest.id, calls: calls, depth: depth)
      }
      var report = Report()
      for try await found in group {
        if let found { report = found }
      }
      return report
    }
  }

  private func measure(_ host: PluginHost, _ id: String, calls: Int, depth: Int) async throws -> Report {
    let params = try Self.parameters()
    let counter = Counter()
    let clock = ContinuousClock()
    let begin = clock.now
    let (times, replyBytes) = try await withThrowingTaskGroup(of: ([Double], Int).self) { group in
      for _ in 0..<depth {
        group.addTask {
          var times: [Double] = []
          var replyBytes = 0
          while counter.next() < calls {
            let start = clock.now
            let call = try await host.begin("post/validate", plugin: id, params: params, deadline: .seconds(30))
            guard case .result(let result) = await call.next() else { throw BenchError("The plugin did not answer") }
            times.append((clock.now - start).inSeconds * 1e6)
            replyBytes = result.count
          }
          return (times, replyBytes)
        }
      }
      var all: [Double] = []
      var bytes = 0
      for try await (times, replyBytes) in group {
        all += times
        bytes = max(bytes, replyBytes)
      }
      return (all, bytes)
    }
    var report = Report()
    report.callsPerSecond = Double(calls) / (clock.now - begin).inSeconds
    let spread = Spread(times)
    report.p50 = spread.percentile(0.5)
    report.p99 = spread.percentile(0.99)
    report.requestBytes = params.count + Self.frameBytes
    report.replyBytes = replyBytes + 40
    return report
  }
}

/// Deals out numbers from 0 to any number of tasks.
private final class Counter: Sendable {
  private let value = Atomic<Int>(0)

  func next() -> Int {
    value.add(1, ordering: .relaxed).oldValue
  }
}
