import FoundationEssentials
import Logging
import Server
import ServiceTree

/// Runs a host and tells the story on it.
struct DemoPerformance: Sendable {
  let story: DemoStory
  let configuration: HostConfiguration
  let logger: Logger
  let endsAfterStory: Bool

  private enum Part: Sendable {
    case hostEnded
    case storyEnded(DemoReport?)
  }

  /// - Returns: The report; nil when the host was stopped before the story's end.
  func run() async throws -> DemoReport? {
    let (ready, continuation) = AsyncStream.makeStream(of: RunningHost.self, bufferingPolicy: .bufferingNewest(1))
    let shutdown = Shutdown()
    return try await withThrowingTaskGroup(of: Part.self) { group in
      group.addTask {
        defer { continuation.finish() }
        try await Shutdown.$current.withValue(shutdown) {
          try await Logger.$current.withValue(logger) {
            try await Host.serve(configuration, logger: logger) { continuation.yield($0) }
          }
        }
        return .hostEnded
      }
      group.addTask {
        for await host in ready { return .storyEnded(try await tell(host)) }
        return .storyEnded(nil)
      }
      var report: DemoReport?
      do {
        while let part = try await group.next() {
          switch part {
          case .storyEnded(let told):
            report = told
            if endsAfterStory { shutdown.request() }
          case .hostEnded:
            // Without a host the story can not go on.
            group.cancelAll()
            return report
          }
        }
      } catch {
        shutdown.request()
        let hint = "\(error)\nThe host's log is \(configuration.home)/host.log"
        // The host still ends in order; its own end is no news after the first error.
        while let _ = await group.nextResult() {}
        throw CommandError(.failure, hint)
      }
      return report
    }
  }

  private func tell(_ host: RunningHost) async throws -> DemoReport {
    let report = try await story.tell(host)
    let screen = story.screen
    screen.title("Done")
    if let first = report.firstSentAt {
      let since = first - screen.startedAt.timeIntervalSince1970
      screen.show(.done, "First post \(DemoScreen.seconds(since)) after the start of the demo")
      if let clone = screen.commandStartedAt {
        let whole = first - clone.timeIntervalSince1970
        screen.show(.done, "First post \(DemoScreen.seconds(whole)) after the start of `make demo`, building included")
      }
    }
    for (platform, count) in report.counts.sorted(by: { $0.key < $1.key }) {
      let sent = report.deliveries.count { $0.platform == platform && $0.state == "sent" }
      let mark: DemoScreen.Mark = Int64(sent) == count ? .done : .failed
      screen.show(mark, "\(platform): \(sent) sent, \(count) in the ledger of the sandbox")
    }
    guard !endsAfterStory else { return report }
    screen.title("Rostrum goes on serving; Ctrl-C ends it")
    let terminal = screen.terminal
    terminal.print("  API      \(host.url)   (description: \(host.url)/openapi.json)")
    terminal.print("  Token    \(story.tokenFile)")
    terminal.print("  Posts    \(story.sandbox.origin)")
    terminal.print("  Log      \(configuration.home)/host.log")
    terminal.print()
    terminal.print("  curl -H \"Authorization: Bearer $(cat \(story.tokenFile))\" \(host.url)/api/posts")
    if let delivery = report.deliveries.first, let program = CommandLine.arguments.first {
      terminal.print("  ROSTRUM_HOME=\(configuration.home) \(program) why \(delivery.id)")
    }
    return report
  }
}
