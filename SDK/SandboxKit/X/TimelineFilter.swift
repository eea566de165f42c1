/// Which posts of a timeline a request asks for.
struct TimelineFilter {
  private let count: Int
  private let excludesReplies: Bool
  private let start: Int64?
  private let end: Int64?
  private let since: Int64?
  private let until: Int64?
  private let now: Int64

  init(_ query: [String: String], now: Int64) throws(XProblem) {
    self.now = now
    if let text = query["max_results"] {
      guard let value = Int(text), (5...100).contains(value) else {
        throw .invalid(
          "The `max_results` query parameter value [\(text)] is not between 5 and 100",
          parameter: "max_results",
          values: [text]
        )
      }
      count = value
    } else {
      count = 10
    }
    let excluded = try XPlatform.list(query["exclude"], "exclude", known: ["replies", "retweets"])
    excludesReplies = excluded.contains("replies")
    start = try Self.time(query, "start_time")
    end = try Self.time(query, "end_time")
    since = try Self.id(query, "since_id")
    let untilID = try Self.id(query, "until_id")
    guard let token = query["pagination_token"] else {
      until = untilID
      return
    }
    guard token.hasPrefix("7140dibdnow9c7btw"), let last = Int64(token.dropFirst(17), radix: 36), last > 0 else {
      throw .invalid(
        "The `pagination_token` query parameter value [\(token)] is not valid",
        parameter: "pagination_token",
        values: [token]
      )
    }
    until = min(last, untilID ?? last)
  }

  /// Opaque to clients; only posts older than `id` follow.
  static func token(after id: Int64) -> String { "7140dibdnow9c7btw" + String(id, radix: 36) }

  /// The newest posts first.
  func page(of places: [Int], in posts: [XPost]) -> (posts: [XPost], hasMore: Bool) {
    var found: [XPost] = []
    for place in places.reversed() {
      let post = posts[place]
      if let start, post.at < start { break }
      if let since, post.id <= since { break }
      if let end, post.at >= end { continue }
      if let until, post.id >= until { continue }
      if post.deletedAt != nil || post.visibleAt > now || (excludesReplies && post.replyTo != nil) { continue }
      if found.count == count { return (found, true) }
      found.append(post)
    }
    return (found, false)
  }

  private static func time(_ query: [String: String], _ name: String) throws(XProblem) -> Int64? {
    guard let text = query[name] else { return nil }
    guard let value = CivilTime.milliseconds(iso: text) else {
      throw .invalid(
        "The `\(name)` query parameter value [\(text)] is not a valid ISO 8601 time (YYYY-MM-DDTHH:mm:ssZ)",
        parameter: name,
        values: [text]
      )
    }
    return value
  }

  private static func id(_ query: [String: String], _ name: String) throws(XProblem) -> Int64? {
    guard let text = query[name] else { return nil }
    guard let value = XPlatform.id(text) else {
      throw .invalid("The `\(name)` query parameter value [\(text)] is not valid", parameter: name, values: [text])
    }
    return value
  }
}
