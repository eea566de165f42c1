extension XPlatform {
  /// Authorises and publishes under one lock: this is the hot path of load tests.
  func createPost(_ request: HTTPRequest, token: String?, _ call: XCall) -> XAnswer {
    let draft = Result { () throws(XProblem) in try XPostDraft(try Self.object(in: request)) }
    let (rate, username, result) = state.withLock { state -> (XRateStatus, String?, Result<XPost, XProblem>) in
      let token = find(token, in: state, call.now)
      let (rate, access) = state.authorize(token, endpoint: .createPost, call: call)
      let result = Result { () throws(XProblem) in
        let account = try access.get().account
        return try state.publish(try draft.get(), account, call)
      }
      return (rate, state.username(of: token), result)
    }
    var response: HTTPResponse
    switch result {
    case .success(let post): response = .json(201, Self.body(of: post))
    case .failure(let problem): response = problem.response
    }
    rate.write(to: &response)
    return XAnswer(response: response, username: username)
  }

  private static func body(of post: XPost) -> [UInt8] {
    JSONWriter.object(capacity: 128 + post.shownText.utf8.count) {
      $0.object("data") {
        $0.member("id", String(post.id))
        $0.member("text", post.shownText)
        $0.array("edit_history_tweet_ids") { $0.string(String(post.id)) }
      }
    }
  }

  func deletePost(_ idText: String, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    guard let id = Self.id(idText) else {
      throw .invalid("The `id` query parameter value [\(idText)] is not valid", parameter: "id", values: [idText])
    }
    try locked { (state) throws(XProblem) in try state.delete(id, account, call) }
    return .json(200, JSONWriter.object { $0.object("data") { $0.member("deleted", true) } })
  }
}

extension XState {
  /// Publishes a post, or refuses it as the platform does.
  mutating func publish(_ draft: XPostDraft, _ account: Int, _ call: XCall) throws(XProblem) -> XPost {
    try checkText(draft, accounts[account].subscription)
    try checkMedia(draft, account, call)
    try checkConversation(draft, account)
    let text = draft.analysis.text
    // The platform compares the text alone, whatever hangs on it, and forgets deleted posts.
    if !text.isEmpty, let earlier = accounts[account].texts[text], posts[earlier].deletedAt == nil,
      call.now - posts[earlier].at < Int64(call.settings.duplicateWindowMs)
    {
      throw .duplicate
    }
    try charge(account, draft.analysis.links.isEmpty ? XEndpoint.createPost.price : 200_000)
    let id = makeID(now: call.now)
    let (shown, links) = show(draft, id: id, username: accounts[account].username)
    let post = XPost(
      id: id,
      account: account,
      text: text,
      shownText: shown,
      links: links,
      media: draft.mediaIDs,
      replyTo: draft.replyTo,
      mentions: draft.analysis.mentions,
      poll: draft.poll,
      isLong: draft.analysis.weight > XAccount.Subscription.none.textLimit,
      at: call.now,
      visibleAt: call.now + Int64(call.listLag)
    )
    let index = posts.count
    posts.append(post)
    postByID[id] = index
    accounts[account].posts.append(index)
    accounts[account].texts[text] = index
    return post
  }

  mutating func delete(_ id: Int64, _ account: Int, _ call: XCall) throws(XProblem) {
    guard let index = postByID[id], posts[index].deletedAt == nil else {
      throw .missing("tweet", id: String(id), parameter: "id")
    }
    guard posts[index].account == account else { throw .notPermitted }
    try charge(account, XEndpoint.deletePost.price)
    posts[index].deletedAt = call.now
  }

  // MARK: Checks

  private func checkText(_ draft: XPostDraft, _ subscription: XAccount.Subscription) throws(XProblem) {
    guard draft.analysis.weight <= subscription.textLimit else {
      throw .invalid(
        "Your Tweet text is too long. For more information on how Twitter determines text length see "
          + "https://github.com/twitter/twitter-text.",
        parameter: "text",
        values: [String(draft.analysis.weight)]
      )
    }
    if draft.edits != nil {
      // Editing is for Premium; the sandbox keeps no edit history, so it refuses the rest openly.
      throw subscription.textLimit == 280
        ? .notPermitted : .invalid("Your edit is not allowed.", parameter: "edit_options.previous_post_id")
    }
    for user in draft.taggedUsers where accountByID[user] == nil {
      throw .invalid(
        "Your tagged user IDs are invalid.",
        parameter: "media.tagged_user_ids",
        values: [String(user)]
      )
    }
  }

  private func checkMedia(_ draft: XPostDraft, _ account: Int, _ call: XCall) throws(XProblem) {
    guard !draft.mediaIDs.isEmpty else { return }
    let invalid = XProblem.invalid(
      "Your media IDs are invalid.",
      parameter: "media.media_ids",
      values: draft.mediaIDs.map(String.init)
    )
    for id in draft.mediaIDs {
      guard let media = media[id], media.account == account, media.expiresAt > call.now else { throw invalid }
      guard media.isReady(at: call.now) else { throw invalid }
      guard media.kind == .image || draft.mediaIDs.count == 1 else { throw invalid }
      let minutes = accounts[account].subscription.videoMinutes
      if let duration = media.durationSeconds, duration > Double(minutes * 60) {
        throw .forbidden("This user is not allowed to post a video longer than \(minutes) minutes.")
      }
    }
  }

  private func checkConversation(_ draft: XPostDraft, _ account: Int) throws(XProblem) {
    if let parentID = draft.replyTo {
      guard let index = postByID[parentID], posts[index].deletedAt == nil else {
        throw .invalid(
          "Your reply tweet ID is invalid.",
          parameter: "reply.in_reply_to_tweet_id",
          values: [String(parentID)]
        )
      }
      // A mention is what summons; nobody can quote here, so the other way does not exist.
      guard
        posts[index].account == account || posts[index].mentions.contains(accounts[account].username.lowercased())
      else { throw .unsummonedReply }
    }
    if let quoted = draft.quotes {
      guard let index = postByID[quoted], posts[index].deletedAt == nil else {
        throw .invalid("Your quote tweet ID is invalid.", parameter: "quote_tweet_id", values: [String(quoted)])
      }
      throw .quote
    }
  }

  // MARK: What readers see

  /// The text with short links, and a short link for the media at its end, as the platform shows it.
  private func show(_ draft: XPostDraft, id: Int64, username: String) -> (String, [XShownLink]) {
    let isPlain = draft.analysis.links.isEmpty && draft.mediaIDs.isEmpty
    if isPlain && !draft.analysis.text.utf8.contains(where: { $0 == 38 || $0 == 60 || $0 == 62 }) {
      return (draft.analysis.text, [])
    }
    let scalars = Array(draft.analysis.text.unicodeScalars)
    var shown: [Unicode.Scalar] = []
    var links: [XShownLink] = []
    var place = 0
    for link in draft.analysis.links {
      Self.append(scalars[place..<link.range.lowerBound], to: &shown)
      let url = Self.shortLink(id, links.count)
      links.append(
        XShownLink(
          start: shown.count,
          end: shown.count + url.unicodeScalars.count,
          url: url,
          expanded: link.expanded,
          display: Self.display(link.expanded),
          mediaKey: nil
        )
      )
      shown += url.unicodeScalars
      place = link.range.upperBound
    }
    Self.append(scalars[place...], to: &shown)
    if let first = draft.mediaIDs.first, let media = media[first] {
      let url = Self.shortLink(id, links.count)
      if !shown.isEmpty { shown.append(" ") }
      let kind = media.kind == .video ? "video" : "photo"
      links.append(
        XShownLink(
          start: shown.count,
          end: shown.count + url.unicodeScalars.count,
          url: url,
          expanded: "https://x.com/\(username)/status/\(id)/\(kind)/1",
          display: "pic.x.com/\(url.suffix(10))",
          mediaKey: media.key
        )
      )
      shown += url.unicodeScalars
    }
    return (String(String.UnicodeScalarView(shown)), links)
  }

  /// The platform hands texts out with these three characters escaped as in HTML.
  private static func append(_ scalars: ArraySlice<Unicode.Scalar>, to shown: inout [Unicode.Scalar]) {
    for scalar in scalars {
      switch scalar {
      case "&": shown += "&amp;".unicodeScalars
      case "<": shown += "&lt;".unicodeScalars
      case ">": shown += "&gt;".unicodeScalars
      default: shown.append(scalar)
      }
    }
  }

  private static func shortLink(_ id: Int64, _ index: Int) -> String {
    let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    var random = SplitMix64(seed: UInt64(bitPattern: id) &+ UInt64(index))
    var code: [UInt8] = []
    for _ in 0..<10 { code.append(alphabet[Int(random.next() % UInt64(alphabet.count))]) }
    return "https://t.co/" + String(decoding: code, as: UTF8.self)
  }

  private static func display(_ url: String) -> String {
    var text = url[...]
    for prefix in ["https://", "http://", "www."] where text.lowercased().hasPrefix(prefix) {
      text = text.dropFirst(prefix.count)
    }
    if text.hasSuffix("/") { text = text.dropLast() }
    return text.count > 27 ? text.prefix(26) + "…" : String(text)
  }
}
