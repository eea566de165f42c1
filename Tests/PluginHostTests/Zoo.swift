import FoundationEssentials
import Glibc
import JSONText
import Logging
import Processes
import Synchronization

@testable import PluginHost

/// A host with any number of scripted plugins, and a record of what happened to them.
final class Zoo: Sendable {
  let host: PluginHost
  let log = MemorySink()
  let spawner: Spawner
  let directory: String
  private let events = Mutex<[PluginEvent]>([])

  /// Answers every call at once.
  static let echo = #"while :; do next; result "$id" "$params"; done"#

  init() throws {
    spawner = try Spawner()
    directory = FileManager.default.temporaryDirectory.path + "/zoo-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    host = PluginHost(spawner: spawner, logger: Logger(sink: log, minimumLevel: .debug))
  }

  /// Makes one, runs the body and ends everything.
  static func open(_ body: (Zoo) async throws -> Void) async throws {
    let zoo = try Zoo()
    let listening = Task { for await event in zoo.host.events { zoo.events.withLock { $0.append(event) } } }
    let result: Result<Void, any Error>
    do {
      try await body(zoo)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    for status in zoo.host.status() {
      for pid in status.versions.compactMap(\.pid) { _ = kill(-pid, SIGKILL) }
    }
    listening.cancel()
    try FileManager.default.removeItem(atPath: zoo.directory)
    try result.get()
  }

  func plugin(
    _ script: String,
    id: String,
    version: String = "1.0.0",
    claims: String? = nil,
    shakesHands: Bool = true,
    watch: InstalledPlugin.LimitWatch? = nil
  ) async throws -> InstalledPlugin {
    try await ScriptedPlugin.install(
      script,
      id: id,
      version: version,
      claims: claims,
      shakesHands: shakesHands,
      in: directory,
      spawner,
      watch: watch
    )
  }

  /// Makes a call and answers the plugin's requests with an empty object.
  func call(
    _ id: String,
    _ params: RawJSON = .emptyObject,
    deadline: Duration = .seconds(30),
    pinnedVersion: String? = nil,
    job: String? = nil
  ) async -> PluginMessage {
    do throws(PluginFailure) {
      let call = try await host.begin(
        "post/publish",
        plugin: id,
        params: params,
        deadline: deadline,
        pinnedVersion: pinnedVersion,
        job: job
      )
      while true {
        let message = await call.next()
        guard case .request(let request) = message else { return message }
        call.answer(request, result: .emptyObject)
      }
    } catch {
      return .failed(error)
    }
  }

  func status(_ id: String) -> PluginStatus? { host.status().first { $0.id == id } }

  /// What has happened so far to a plugin.
  func happened(_ id: String) -> [PluginEvent] {
    events.withLock { $0.filter { $0.subject.id == id } }
  }

  /// Waits until the events of a plugin hold one.
  func event<Value>(_ id: String, _ find: (PluginEvent) -> Value?) async -> Value {
    while true {
      if let found = happened(id).lazy.compactMap(find).first { return found }
      await Task.yield()
    }
  }
}

extension PluginEvent {
  var subject: Subject {
    switch self {
    case .started(let subject, _), .stopped(let subject), .crashed(let subject, _), .quarantined(let subject, _),
      .released(let subject), .selfTestFailed(let subject, _), .upgraded(_, let subject),
      .rolledBack(_, let subject, _), .drained(let subject), .removed(let subject), .jobParked(let subject, _, _):
      subject
    }
  }
}
