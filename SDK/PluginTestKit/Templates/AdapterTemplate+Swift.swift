// swift-format-ignore-file
// Made of SDK/Examples by make-templates.py; change the example, not this file.

extension AdapterTemplate {
  /// What stands for the words in the shared files.
  static let swiftWords = ["@language@": "Swift", "@executable@": "plugin-@id@", "@runtime@": ""]

  /// The example in SDK/Examples/swift.
  static let swiftFiles: [(path: String, text: String)] = [
    (
      "Package.swift",
##"""
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "example-swift",
  dependencies: [.package(name: "rostrum", path: "../../..")],
  targets: [
    .target(
      name: "Adapter",
      dependencies: [.product(name: "PluginKit", package: "rostrum")]
    ),
    .executableTarget(name: "plugin-example-swift", dependencies: ["Adapter"]),
    .testTarget(
      name: "AdapterTests",
      dependencies: ["Adapter", .product(name: "PluginTestKit", package: "rostrum")]
    ),
  ]
)

"""##
    ),
    (
      "Makefile",
##"""
# Swift's own libraries go into the program, so that a jail needs to show it fewer files.
PROGRAM = plugin-example-swift

bundle/$(PROGRAM): Package.swift $(shell find Sources -name '*.swift')
	swift build -c release --static-swift-stdlib --product $(PROGRAM)
	cp .build/release/$(PROGRAM) $@

test:
	swift test
.PHONY: test

"""##
    ),
    (
      ".gitignore",
##"""
.build/
bundle/plugin-example-swift

"""##
    ),
    (
      "Sources/Adapter/MicroblogAdapter.swift",
##"""
public import PluginKit

/// Publishes notes to Microblog.
public struct MicroblogAdapter: Platform {
  /// Equal to bundle/manifest.json.
  public static let manifest = PlatformManifest(
    id: "example-swift",
    version: "1.0.0",
    summary: "Publishes notes with pictures to Microblog."
  )

  static let textLimit = 300
  static let pictureLimit = 4
  static let types = ["image/jpeg", "image/png"]

  /// Makes the adapter; it keeps nothing.
  public init() {}

  /// Asks whose token the host holds.
  public func identify(_ context: AccountContext) async throws -> AccountIdentity {
    let me = try Self.body(try await context.http(rule: "me"), 200)
    return AccountIdentity(id: try me.string("id"), name: try me.string("name"), handle: try me.string("username"))
  }

  /// Says what an account may publish.
  public func capabilities(_ context: AccountContext) async throws -> Capabilities {
    Capabilities(
      text: Capabilities.Text(limit: Int64(Self.textLimit), unit: "characters"),
      media: Capabilities.Media(
        images: Int64(Self.pictureLimit),
        imageBytes: 2_097_152,
        imageTypes: Self.types,
        altLimit: 500
      ),
      features: ["delete", "reconcile"]
    )
  }

  /// Finds what Microblog would refuse.
  public func validate(_ post: Post, _ context: PureContext) throws -> Validation {
    let count = post.text.unicodeScalars.count
    var findings: [Finding] = []
    if count > Self.textLimit {
      findings.append(Finding(.error, field: "text", code: "tooLong", "Microblog takes \(Self.textLimit) characters."))
    }
    if post.media.isEmpty, post.text.allSatisfy(\.isWhitespace) {
      findings.append(Finding(.error, field: "text", code: "empty", "A note needs a text or a picture."))
    }
    if post.media.count > Self.pictureLimit {
      findings.append(
        Finding(.error, field: "media", code: "tooMany", "Microblog takes \(Self.pictureLimit) pictures.")
      )
    }
    if post.media.contains(where: { !Self.types.contains($0.type) }) {
      findings.append(Finding(.error, field: "media", code: "badType", "Microblog takes JPEG and PNG."))
    }
    let length = TextLength(count: Int64(count), limit: Int64(Self.textLimit), unit: "characters")
    return Validation(findings: findings, length: length)
  }

  /// Microblog shows a text as it is.
  public func render(_ post: Post, _ context: PureContext) throws -> Rendering {
    let validation = try validate(post, context)
    return Rendering(text: post.text, length: validation.length, findings: validation.findings)
  }

  /// Uploads the pictures, then makes the note that shows them.
  public func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
    var pictures: [JSONLiteral] = []
    for (index, item) in post.media.enumerated() {
      // Named after the picture's place, so that it is the same step at every run.
      let answer = try await job.http(
        rule: "uploadPicture",
        step: "picture-\(index + 1)",
        headers: ["content-type": item.type],
        body: .media(handle: item.handle, range: nil)
      )
      let id = try Self.body(answer, 201).string("id")
      pictures.append(["id": .string(id), "alt": .string(item.alt ?? "")])
    }
    let answer = try await job.http(
      rule: "createNote",
      step: "note",
      json: ["text": .string(post.text), "pictures": .array(pictures)]
    )
    let note = try Self.body(answer, 201)
    return Publication.Published(remoteID: try note.string("id"), url: try note.optionalString("url"))
  }

  /// Looks for the note among the latest 200.
  public func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict {
    let answer = try await job.http(
      rule: "listNotes",
      query: ["since": WireDate.text(job.now), "limit": "200"]
    )
    let found = try Self.body(answer, 200)
    for element in try found.array("notes") {
      let note = try element.object()
      guard try note.string("text") == post.text, try note.int64("pictures") == Int64(post.media.count) else {
        continue
      }
      return .found(remoteID: try note.string("id"), url: try note.optionalString("url"))
    }
    return try found.optionalBool("more") == false ? .absent : .unknown(why: "there are more than 200 notes")
  }

  /// Removes a note; one that is gone counts as removed.
  public func delete(_ remoteID: String, _ job: JobContext) async throws {
    let answer = try await job.http(rule: "deleteNote", step: "delete", path: ["id": remoteID])
    if answer.status != 204, answer.status != 404 { throw Self.failure(answer) }
  }

  /// The JSON object of a good answer.
  private static func body(_ answer: HTTPAnswer, _ good: Int) throws -> JSONObjectView {
    guard answer.status == good, let json = answer.json else { throw failure(answer) }
    return try json.object()
  }

  /// The error that tells the host what to do.
  private static func failure(_ answer: HTTPAnswer) -> PlatformError {
    switch answer.status {
    case 401, 403: return PlatformError(.authExpired, "Microblog does not accept the token any more.")
    case 429:
      let seconds = answer.headers["retry-after"].flatMap { Int64($0) } ?? 60
      return PlatformError(.rateLimited, "Microblog asks to slow down.", retryAfter: .seconds(seconds))
    case 413, 415: return PlatformError(.mediaRejected, "Microblog refused a picture (\(answer.status)).")
    case 400..<500: return PlatformError(.contentRejected, "Microblog refused the note (\(answer.status)).")
    case 500...: return PlatformError(.platformDown, "Microblog has trouble (\(answer.status)).")
    default: return PlatformError(.platformChanged, "Microblog's answer has another form than expected.")
    }
  }
}

"""##
    ),
    (
      "Sources/plugin-example-swift/main.swift",
##"""
import Adapter
import PluginKit

PluginMain.run(MicroblogAdapter())

"""##
    ),
    (
      "Tests/AdapterTests/MicroblogAdapterTests.swift",
##"""
import PluginKit
import PluginTestKit
import Testing

@testable import Adapter

@Suite struct MicroblogAdapterTests {
  private let account = Account(id: "u-1", name: "Alice")
  private let job = JobInfo(key: "k", now: "2026-01-02T03:04:05Z", seed: "s")

  private func host() -> ScriptedHost<MicroblogAdapter> {
    ScriptedHost(MicroblogAdapter()) { (request) throws(PlatformError) in
      switch request.rule {
      case "uploadPicture": HTTPAnswer(status: 201, json: RawJSON.object { $0.field("id", "pic-1") })
      case "createNote": HTTPAnswer(status: 201, json: RawJSON.object { $0.field("id", "7") })
      default: HTTPAnswer(status: 404)
      }
    }
  }

  @Test func publishesThePictureFirst() async throws {
    let host = host()
    _ = try await host.start()
    let post = Post(text: "Hello", media: [MediaItem(handle: "m-1", type: "image/png", bytes: 67)])
    let end = try await host.publish(post, account, job: job)
    #expect(end == .published(Publication.Published(remoteID: "7", url: nil)))
    #expect(host.requests.map(\.step) == ["picture-1", "note"])
  }

  @Test func asksForTheSameWhenItRunsAgain() async throws {
    let host = host()
    _ = try await host.start()
    _ = try await host.publish(Post(text: "Hello"), account, job: job)
    let first = host.digests
    host.replay()
    _ = try await host.publish(Post(text: "Hello"), account, job: job)
    #expect(host.digests == first)
  }
}

"""##
    ),
    ("bundle/manifest.json", manifest),
    ("bundle/README.md", readMe),
    ("conformance.json", cases),
  ]
}
