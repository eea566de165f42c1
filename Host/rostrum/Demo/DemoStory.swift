import Cryptography
import FoundationEssentials
import HTTPClient
import Identity
import JSONDocument
import PluginManifest
import Postgres
import Server

/// The main job through the real interface: connect accounts, write a post, send it now and in ten seconds, and watch.
struct DemoStory: Sendable {
  let screen: DemoScreen
  let http: HTTPClient
  let sandbox: DemoClient
  let platforms: [DemoPlatform]
  /// Where the token is put, so that the viewer can go on with it.
  let tokenFile: String

  private static let email = "demo@rostrum.example"
  private static let delay: TimeInterval = 10
  /// Nothing here takes long; after this time something is wrong.
  private static let patience: Duration = .seconds(90)

  /// Tells the whole story on a running host.
  func tell(_ host: RunningHost) async throws -> DemoReport {
    screen.show(.done, "The host is ready", link: host.url)
    let (site, token) = try await makeSite(host)
    let api = DemoClient(http, origin: host.url, token: token)
    screen.title("Accounts")
    var connections: [JSONValue] = []
    for platform in platforms { connections.append(try await connect(platform, api)) }
    screen.title("One post with a picture")
    let post = try await write(api)
    let stream = try await EventStream(port: host.port, path: "/api/events?siteId=\(site)", token: token)
    defer { stream.close() }
    var watch = DemoWatch(screen: screen, names: names)
    let now = try await dispatch(["postId": post, "connectionIds": .array(connections)], api)
    watch.add(now, label: "now")
    screen.show(.step, "Asked to send it now: \(count(now)) deliveries")
    let due = Date().addingTimeInterval(Self.delay)
    let later = try await dispatch(
      [
        "postId": post, "connectionIds": .array(connections), "scheduledFor": .string(RFC3339.format(due)),
        "options": ["customMessage": "The same post ten seconds later, in other words and on time. #rostrum"],
      ],
      api
    )
    watch.add(later, label: "in 10 s")
    screen.show(.step, "Asked to send it again in ten seconds, in other words: \(count(later)) deliveries")
    screen.title("What happens")
    let finished = try await follow(watch, stream, api)
    let ledger = try await sandbox.get("/_sandbox/ledger")
    return DemoReport(deliveries: finished.deliveries, ledger: ledger, firstSentAt: finished.firstSentAt)
  }

  private var names: [String: String] {
    Dictionary(platforms.map { ($0.manifest.id, $0.manifest.name) }) { first, _ in first }
  }

  // MARK: Steps

  /// The first user and token can only come from the machine itself, as with `rostrum user create`.
  private func makeSite(_ host: RunningHost) async throws -> (site: Int64, token: String) {
    let user = try await host.pool.transaction { tx in
      try await host.users.create(email: Self.email, name: "Demo", isOperator: true, in: tx)
    }
    // Not limited to the site: the viewer may look at everything with it, /metrics too.
    let token = try await token(host, user: user.id)
    let api = DemoClient(http, origin: host.url, token: token)
    let answer = try await api.post("/api/sites", ["name": "Demo site"])
    guard let site = answer.pointer("/data/id")?.int64Value else { throw Self.strange("the new site") }
    try DemoHome.write(token + "\n", to: tokenFile)
    screen.show(.done, "Made site \(site) with a user and a token")
    return (site, token)
  }

  private func token(_ host: RunningHost, user: Int64) async throws -> String {
    let (_, token) = try await host.pool.transaction { tx in
      try await host.tokens.create(user: user, name: "demo", expiresAt: nil, in: tx)
    }
    return token.revealText() ?? ""
  }

  private func connect(_ platform: DemoPlatform, _ api: DemoClient) async throws -> JSONValue {
    let answer = try await api.post("/api/admin/distribution/connections", platform.request)
    guard let data = answer["data"], let id = data["id"] else { throw Self.strange("the connection") }
    let name = data["accountName"]?.stringValue ?? ""
    screen.show(.done, "Connected \(platform.manifest.name): \(name) said who it is")
    return id
  }

  private func write(_ api: DemoClient) async throws -> JSONValue {
    let picture = DemoPicture.png()
    let path = "/api/media?fileName=hills.png&alt=" + DemoPicture.alt.replacing(" ", with: "%20")
    let media = try await api.upload(path, picture, type: "image/png")
    guard let id = media.pointer("/data/id") else { throw Self.strange("the picture") }
    screen.show(.done, "Uploaded a picture of \(picture.count / 1024) KiB with words for those who can not see it")
    let post = try await api.post(
      "/api/posts",
      [
        "title": "Good evening from Rostrum",
        "excerpt": "Good evening from Rostrum: written once, sent to every account, and only once each.",
        "content": "This post went through the API, the queue, the adapters and the journal of the host.",
        "url": "https://example.org/good-evening", "tags": ["rostrum"], "media": [["mediaId": id]],
      ]
    )
    guard let number = post.pointer("/data/id") else { throw Self.strange("the post") }
    screen.show(.done, "Wrote the post “Good evening from Rostrum”")
    return number
  }

  private func dispatch(_ request: JSONValue, _ api: DemoClient) async throws -> JSONValue {
    try await api.post("/api/admin/distribution/dispatch", request)
  }

  private func count(_ answer: JSONValue) -> Int { answer.pointer("/data/deliveries")?.arrayValue?.count ?? 0 }

  private static func strange(_ what: String) -> CommandError {
    CommandError(.failure, "The host's answer about \(what) has no id")
  }

  // MARK: Watching

  private enum Tick: Sendable {
    case event(EventStream.Event)
    case look
    case tooLate
  }

  /// Follows the events until every delivery has ended. Steps are told as they come; because they may be lost, the
  /// states are also asked for.
  private func follow(_ start: DemoWatch, _ stream: EventStream, _ api: DemoClient) async throws -> DemoWatch {
    var watch = start
    let (ticks, continuation) = AsyncStream.makeStream(of: Tick.self, bufferingPolicy: .bufferingNewest(10_000))
    return try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      group.addTask {
        for await event in stream.events { continuation.yield(.event(event)) }
      }
      group.addTask {
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
          try await Task.sleep(for: .seconds(1))
          continuation.yield(.look)
        }
        continuation.yield(.tooLate)
      }
      for await tick in ticks {
        switch tick {
        case .event(let event): watch.take(event)
        case .look:
          for id in watch.open {
            watch.take(try await api.get("/api/admin/distribution/logs/\(id)")["data"] ?? .null)
          }
        case .tooLate: return watch
        }
        try await showEnds(&watch, api)
        if watch.open.isEmpty { return watch }
      }
      throw CancellationError()
    }
  }

  /// Tells of deliveries that have just ended, with the page in the sandbox that shows the post.
  private func showEnds(_ watch: inout DemoWatch, _ api: DemoClient) async throws {
    for id in watch.justEnded {
      let delivery = try await api.get("/api/admin/distribution/logs/\(id)")["data"] ?? .null
      watch.end(delivery, page: try await page(of: delivery))
    }
  }

  private func page(of delivery: JSONValue) async throws -> String? {
    guard let url = delivery["url"]?.stringValue, let platform = delivery["platform"]?.stringValue else { return nil }
    let ledger = try await sandbox.get("/_sandbox/ledger?platform=\(platform)")
    let entry = ledger.pointer("/\(platform)/entries")?.arrayValue?.first { $0["url"]?.stringValue == url }
    return entry?["page"]?.stringValue
  }
}
