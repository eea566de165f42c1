import FoundationEssentials
import JSONText
import PluginProtocol
import Postgres
import Testing

@testable import Publishing

/// Threads: posts of several parts.
extension PublishingFixture {
  /// Lets the account publish threads and dispatches one of so many parts.
  func dispatchThread(parts: Int = 3) async throws -> Int64 {
    let capabilities = #"{"text":{"limit":280,"unit":"characters"},"segments":9}"#
    try await pool.execute(
      "UPDATE platform_connections SET capabilities = \(JSONB(text: capabilities)) WHERE id = \(connection)"
    )
    let segments = (1..<parts).map { PostContent.Segment(text: "part \($0)") }
    let content = PostContent(title: "part 0", segments: segments)
    let site = site
    let post = try await pool.transaction(scope: .site(site)) { tx in
      try await PostStore().create(content, site: site, user: nil, in: tx).id
    }
    let dispatched = try await dispatcher.dispatch(request(post: post))
    return try #require(dispatched.deliveries.first).id
  }

  /// What stands in the column `segments`: ids, and which of them were deleted.
  func parts(of id: Int64) async throws -> [(id: String, isRemoved: Bool)] {
    guard let text = try await delivery(id).segments else { return [] }
    return try RawJSON(text: text).array().map { element in
      let part = try element.object()
      return (try part.string("remoteId"), try part.optionalBool("removed") ?? false)
    }
  }

  /// The bodies of the requests that published something, or were to.
  var bodies: [String] { platform.received.filter { $0.path == "/posts" && $0.method == "POST" }.map(\.body) }
}
