extension XPlatform {
  private static let userFields = [
    "id", "name", "username", "created_at", "description", "location", "profile_image_url", "protected",
    "public_metrics", "url", "verified", "verified_type", "subscription_type", "most_recent_tweet_id",
  ]
  private static let postFields = [
    "article", "attachments", "author_id", "card_uri", "community_id", "context_annotations", "conversation_id",
    "created_at", "display_text_range", "edit_controls", "edit_history_tweet_ids", "entities", "geo", "id",
    "in_reply_to_user_id", "lang", "media_metadata", "non_public_metrics", "note_tweet", "organic_metrics",
    "possibly_sensitive", "promoted_metrics", "public_metrics", "referenced_tweets", "reply_settings", "scopes",
    "source", "suggested_source_links", "text", "withheld",
  ]
  private static let mediaFields = [
    "alt_text", "duration_ms", "height", "media_key", "public_metrics", "type", "url", "width",
  ]
  private static let expansions = ["attachments.media_keys", "author_id"]

  func showMe(_ request: HTTPRequest, _ account: Int) throws(XProblem) -> HTTPResponse {
    let query = try Self.query(request, known: ["user.fields", "expansions", "tweet.fields"])
    let fields = try Self.list(query["user.fields"], "user.fields", known: Self.userFields)
    let user = state.withLock { state in
      state.chargeRead(account, XEndpoint.me.price)
      return state.accounts[account]
    }
    return .json(JSONWriter.object { $0.object("data") { Self.write(user, fields, &$0) } })
  }

  func showPosts(_ request: HTTPRequest, _ pathID: String, _ account: Int) throws(XProblem) -> HTTPResponse {
    let isSingle = !pathID.isEmpty
    let shape = ["tweet.fields", "expansions", "media.fields", "user.fields"]
    let query = try Self.query(request, known: isSingle ? shape : shape + ["ids"])
    let view = try View(query)
    let texts = isSingle ? [pathID] : try Self.list(query["ids"], "ids", known: nil)
    guard (1...100).contains(texts.count) else {
      throw .invalid("The number of values in the `ids` query parameter list must be from 1 to 100", parameter: "ids")
    }
    for text in texts where Self.id(text) == nil {
      throw .invalid("The `ids` query parameter value [\(text)] is not valid", parameter: "ids", values: [text])
    }
    let found = state.withLock { state -> [XPost?] in
      let found = texts.map { text -> XPost? in
        guard let id = Self.id(text), let index = state.postByID[id] else { return nil }
        return state.posts[index].deletedAt == nil ? state.posts[index] : nil
      }
      state.chargeRead(account, Int64(found.count { $0 != nil }) * XEndpoint.posts.price)
      return found
    }
    let shown = found.compactMap { $0 }
    let context = context(for: shown)
    let body = JSONWriter.object(capacity: 512) { writer in
      if isSingle, let post = shown.first {
        writer.object("data") { view.write(post, context, &$0) }
      } else if !shown.isEmpty {
        writer.array("data") { for post in shown { $0.object { view.write(post, context, &$0) } } }
      }
      view.writeIncludes(shown, context, &writer)
      if shown.count < texts.count {
        writer.array("errors") {
          for (text, post) in zip(texts, found) where post == nil {
            XProblem.writeMissing(&$0, "tweet", id: text, parameter: isSingle ? "id" : "ids")
          }
        }
      }
    }
    return .json(body)
  }

  func showTimeline(
    _ request: HTTPRequest,
    _ userText: String,
    _ account: Int,
    _ call: XCall
  ) throws(XProblem) -> HTTPResponse {
    let query = try Self.query(
      request,
      known: [
        "max_results", "exclude", "start_time", "end_time", "since_id", "until_id", "pagination_token", "tweet.fields",
        "expansions", "media.fields", "user.fields",
      ]
    )
    let view = try View(query)
    let filter = try TimelineFilter(query, now: call.now)
    guard let userID = Self.id(userText) else {
      throw .invalid("The `id` query parameter value [\(userText)] is not valid", parameter: "id", values: [userText])
    }
    let page = state.withLock { state -> (posts: [XPost], hasMore: Bool)? in
      guard let owner = state.accountByID[userID] else { return nil }
      let page = filter.page(of: state.accounts[owner].posts, in: state.posts)
      state.chargeRead(account, Int64(page.posts.count) * XEndpoint.timeline.price)
      return page
    }
    guard let page else {
      return .json(
        JSONWriter.object { $0.array("errors") { XProblem.writeMissing(&$0, "user", id: userText, parameter: "id") } }
      )
    }
    let context = context(for: page.posts)
    let body = JSONWriter.object(capacity: 512) { writer in
      if !page.posts.isEmpty {
        writer.array("data") { for post in page.posts { $0.object { view.write(post, context, &$0) } } }
      }
      view.writeIncludes(page.posts, context, &writer)
      writer.object("meta") { meta in
        meta.member("result_count", page.posts.count)
        if let newest = page.posts.first, let oldest = page.posts.last {
          meta.member("newest_id", String(newest.id))
          meta.member("oldest_id", String(oldest.id))
          if page.hasMore { meta.member("next_token", TimelineFilter.token(after: oldest.id)) }
        }
      }
    }
    return .json(body)
  }

  // MARK: Shapes

  static func list(_ text: String?, _ parameter: String, known: [String]?) throws(XProblem) -> [String] {
    guard let text else { return [] }
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    if let known {
      for name in names where !known.contains(name) {
        throw .invalid(
          "The `\(parameter)` query parameter value [\(name)] is not one of [\(known.joined(separator: ","))]",
          parameter: parameter,
          values: [name]
        )
      }
    }
    return names
  }

  private static func write(_ user: XAccount, _ fields: [String], _ writer: inout JSONWriter) {
    writer.member("id", String(user.id))
    writer.member("name", user.name)
    writer.member("username", user.username)
    let isPaying = user.subscription.textLimit > 280
    if fields.contains("verified") { writer.member("verified", isPaying) }
    if fields.contains("verified_type") { writer.member("verified_type", isPaying ? "blue" : "none") }
    if fields.contains("subscription_type") { writer.member("subscription_type", user.subscription.rawValue) }
    if fields.contains("protected") { writer.member("protected", false) }
    if fields.contains("profile_image_url") {
      writer.member("profile_image_url", "https://abs.twimg.com/sticky/default_profile_images/default_profile.png")
    }
    if fields.contains("public_metrics") {
      writer.object("public_metrics") {
        $0.member("followers_count", 0)
        $0.member("following_count", 0)
        $0.member("tweet_count", user.posts.count)
        $0.member("listed_count", 0)
      }
    }
  }

  /// What the posts of an answer refer to.
  struct Context: Sendable {
    var authors: [Int: XAccount] = [:]
    var media: [Int64: XMedia] = [:]
    var parents: [Int64: Int64] = [:]
  }

  private func context(for posts: [XPost]) -> Context {
    state.withLock { state in
      var context = Context()
      for post in posts {
        context.authors[post.account] = state.accounts[post.account]
        for id in post.media { context.media[id] = state.media[id] }
        if let parent = post.replyTo, let index = state.postByID[parent] {
          context.parents[parent] = state.accounts[state.posts[index].account].id
        }
      }
      return context
    }
  }

  /// Which fields an answer shows.
  struct View {
    let fields: Set<String>
    let expansions: Set<String>
    let mediaFields: Set<String>

    init(_ query: [String: String]) throws(XProblem) {
      fields = Set(try XPlatform.list(query["tweet.fields"], "tweet.fields", known: XPlatform.postFields))
      expansions = Set(try XPlatform.list(query["expansions"], "expansions", known: XPlatform.expansions))
      mediaFields = Set(try XPlatform.list(query["media.fields"], "media.fields", known: XPlatform.mediaFields))
      _ = try XPlatform.list(query["user.fields"], "user.fields", known: XPlatform.userFields)
    }

    func write(_ post: XPost, _ context: Context, _ writer: inout JSONWriter) {
      writer.member("id", String(post.id))
      let (text, links) = post.beginning
      writer.member("text", text)
      writer.array("edit_history_tweet_ids") { $0.string(String(post.id)) }
      if fields.contains("created_at") { writer.member("created_at", CivilTime(milliseconds: post.at).iso) }
      if fields.contains("author_id") || expansions.contains("author_id") {
        writer.member("author_id", context.authors[post.account].map { String($0.id) })
      }
      if fields.contains("conversation_id") { writer.member("conversation_id", String(post.replyTo ?? post.id)) }
      if fields.contains("lang") { writer.member("lang", "und") }
      if let parent = post.replyTo {
        if fields.contains("in_reply_to_user_id") {
          writer.member("in_reply_to_user_id", context.parents[parent].map(String.init))
        }
        if fields.contains("referenced_tweets") {
          writer.array("referenced_tweets") {
            $0.object {
              $0.member("type", "replied_to")
              $0.member("id", String(parent))
            }
          }
        }
      }
      let keys = post.media.compactMap { context.media[$0]?.key }
      if fields.contains("attachments") || expansions.contains("attachments.media_keys"), !keys.isEmpty {
        writer.object("attachments") { $0.array("media_keys") { for key in keys { $0.string(key) } } }
      }
      if fields.contains("entities"), !links.isEmpty { writeEntities(links, &writer) }
      if fields.contains("note_tweet"), post.isLong {
        writer.object("note_tweet") {
          $0.member("text", post.shownText)
          if !post.links.isEmpty { writeEntities(post.links, &$0) }
        }
      }
      for name in ["public_metrics", "non_public_metrics", "organic_metrics"] where fields.contains(name) {
        writer.object(name) {
          for metric in Self.metrics(name) { $0.member(metric, 0) }
        }
      }
    }

    private func writeEntities(_ links: [XShownLink], _ writer: inout JSONWriter) {
      writer.object("entities") { $0.array("urls") { for link in links { write(link, &$0) } } }
    }

    private func write(_ link: XShownLink, _ writer: inout JSONWriter) {
      writer.object {
        $0.member("start", link.start)
        $0.member("end", link.end)
        $0.member("url", link.url)
        $0.member("expanded_url", link.expanded)
        $0.member("display_url", link.display)
        if let key = link.mediaKey { $0.member("media_key", key) }
      }
    }

    private static func metrics(_ name: String) -> [String] {
      name == "public_metrics"
        ? ["retweet_count", "reply_count", "like_count", "quote_count", "bookmark_count", "impression_count"]
        : ["impression_count", "url_link_clicks", "user_profile_clicks", "engagements"]
    }

    func writeIncludes(_ posts: [XPost], _ context: Context, _ writer: inout JSONWriter) {
      guard !expansions.isEmpty, !posts.isEmpty else { return }
      let media = posts.flatMap(\.media).compactMap { context.media[$0] }
      writer.object("includes") { includes in
        if expansions.contains("attachments.media_keys"), !media.isEmpty {
          includes.array("media") {
            for medium in media { $0.object { write(medium, &$0) } }
          }
        }
        if expansions.contains("author_id") {
          includes.array("users") {
            for user in context.authors.values { $0.object { XPlatform.write(user, [], &$0) } }
          }
        }
      }
    }

    private func write(_ medium: XMedia, _ writer: inout JSONWriter) {
      writer.member("media_key", medium.key)
      switch medium.kind {
      case .image: writer.member("type", "photo")
      case .gif: writer.member("type", "animated_gif")
      case .video: writer.member("type", "video")
      }
      if mediaFields.contains("alt_text"), let text = medium.altText { writer.member("alt_text", text) }
    }
  }
}

extension XPost {
  /// What `text` shows: everything, or of a long post about as much as fits an ordinary one.
  fileprivate var beginning: (text: String, links: [XShownLink]) {
    guard isLong else { return (shownText, links) }
    var end = 274
    // Neither a link nor an escape is cut in two.
    if let cut = links.first(where: { $0.start < end && $0.end > end }) { end = cut.start }
    var scalars = shownText.unicodeScalars.prefix(end)
    if let escape = scalars.lastIndex(of: "&"), !scalars[escape...].contains(";") { scalars = scalars[..<escape] }
    return (String(scalars) + "…", links.filter { $0.end <= end })
  }
}
