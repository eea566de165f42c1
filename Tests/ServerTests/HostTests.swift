import FoundationEssentials
import Glibc
import HTTPClient
import JSONDocument
import Logging
import Server
import ServiceTree
import Testing

/// A real host on a home of its own, with the database that it makes itself.
@Suite(.serialized, .timeLimit(.minutes(15))) struct HostTests {
  private let folder: TemporaryFolder
  private let configuration: HostConfiguration

  init() throws {
    folder = try TemporaryFolder()
    configuration = try HostConfiguration.load(
      environment: ["ROSTRUM_HOME": folder.path + "/home", "ROSTRUM_LISTEN": "127.0.0.1:0"],
      installation: Installation(directory: Self.repository)
    )
    try FileManager.default.createDirectory(atPath: folder.path + "/home", withIntermediateDirectories: false)
  }

  private static var repository: String {
    #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
  }

  /// Runs a host for the time of the body.
  private func serve(_ body: @escaping @Sendable (RunningHost) async throws -> Void) async throws {
    let logger = Logger(sink: MemorySink(), minimumLevel: .debug)
    let (ready, continuation) = AsyncStream.makeStream(of: RunningHost.self, bufferingPolicy: .bufferingNewest(1))
    let shutdown = Shutdown()
    let configuration = configuration
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { continuation.finish() }
        try await Shutdown.$current.withValue(shutdown) {
          try await Host(configuration, logger: logger) { continuation.yield($0) }.run()
        }
      }
      group.addTask {
        defer { shutdown.request() }
        for await host in ready { return try await body(host) }
      }
      try await group.waitForAll()
    }
  }

  private static func get(_ url: String) async throws -> (status: Int, body: JSONValue) {
    let client = try HTTPClient()
    let request = OutgoingRequest(method: "GET", url: url, addressPolicy: { _ in true })
    guard case .response(let response) = await client.perform(request) else {
      Issue.record("\(url) gave no answer")
      return (0, .null)
    }
    return (response.status, try JSONValue.parse(response.body))
  }

  @Test func servesAndRefusesASecondHostAndAMissingKey() async throws {
    let configuration = configuration
    try await serve { host in
      let health = try await Self.get(host.url + "/health")
      #expect(health.status == 200)
      #expect(health.body.pointer("/data/status") == "healthy")
      let foreign = try await Self.get(host.url + "/api/posts")
      #expect(foreign.status == 401)

      let second = Host(configuration, logger: Logger(sink: MemorySink()))
      await #expect(throws: (any Error).self) { try await second.run() }

      let findings = await Doctor(configuration, logger: Logger(sink: MemorySink())).examine()
      for subject in ["postgresql", "database", "fsync", "migrations", "key", "media", "egress"] {
        #expect(findings.first { $0.subject == subject }?.level == .ok, "\(subject)")
      }
      // Their programs do not lie in the repository's folder.
      #expect(findings.contains { $0.subject.hasPrefix("plugin ") && $0.level == .fail })
    }
    var status = stat()
    #expect(unsafe stat(configuration.keyFile, &status) == 0 && status.st_mode & 0o777 == 0o600)

    let key = try Data(contentsOf: URL(filePath: configuration.keyFile))
    try FileManager.default.removeItem(atPath: configuration.keyFile)
    await #expect(throws: StartError.self) { try await serve { _ in } }
    #expect(!FileManager.default.fileExists(atPath: configuration.keyFile))

    // With the key put back everything works again.
    try key.write(to: URL(filePath: configuration.keyFile))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: configuration.keyFile)
    try await serve { host in
      let status = try await Self.get(host.url + "/health/live").status
      #expect(status == 200)
    }
  }
}
