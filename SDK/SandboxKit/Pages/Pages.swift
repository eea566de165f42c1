/// Pages that show each post as its readers would see it.
struct Pages {
  let router: Router

  /// How many posts a list shows.
  private static let listLength = 200

  /// Whether a request under `/hooks/` wants a page instead of delivering an event.
  static func isPage(_ request: HTTPRequest) -> Bool {
    guard request.method == "GET" || request.method == "HEAD" else { return false }
    let parts = request.pathParts
    // The address of a hook itself takes POST only, but a browser may look at it.
    return parts.count == 3 || parts.count == 2 && request.header("accept")?.contains("text/html") == true
  }

  func answer(_ request: HTTPRequest) -> HTTPResponse {
    guard request.method == "GET" || request.method == "HEAD" else {
      var response = HTTPResponse.text(405, "pages take GET only\n")
      response.set("allow", "GET, HEAD")
      return response
    }
    let parts = request.pathParts
    switch parts.first {
    case nil: return index()
    case "x" where parts.count == 2: return profile(parts[1])
    case "x" where parts.count == 4 && parts[2] == "status": return post(parts[3], username: parts[1])
    case "hooks" where parts.count == 2: return hook(parts[1])
    case "hooks" where parts.count == 3: return event(parts[2], hook: parts[1])
    case "notes" where parts.count == 2: return blog(parts[1])
    case "notes" where parts.count == 3: return note(parts[2])
    case "media" where parts.count == 2: return media(parts[1])
    default: return HTML.page(status: 404, title: "Not found", "<h1>There is no such page.</h1>")
    }
  }

  // MARK: Lists

  private func index() -> HTTPResponse {
    let (posts, accounts) = router.x.state.withLock { ($0.posts.suffix(Self.listLength), $0.accounts) }
    let hooks = router.webhooks.state.withLock { state in state.order.compactMap { state.hooks[$0] } }
    var html = "<h1>What was published</h1>\n"
    html += "<h2>X</h2>\n"
    html += accounts.isEmpty ? "<p class=\"soft\">No account yet.</p>\n" : ""
    html += "<p>" + accounts.prefix(Self.listLength).map(profileLink).joined(separator: " · ") + "</p>\n"
    for post in posts.reversed() { html += card(post, author: accounts[post.account], isAlone: false) }
    html += "<h2>Webhook</h2>\n"
    html += hooks.isEmpty ? "<p class=\"soft\">No hook yet.</p>\n" : ""
    for hook in hooks.prefix(Self.listLength) {
      html += "<p><a href=\"/hooks/\(hook.name)\">\(hook.name)</a>"
      html += " <span class=\"soft\">\(hook.events.count) events</span></p>\n"
      for event in hook.events.suffix(20).reversed() { html += card(event, hook: hook.name) }
    }
    html += notesIndex()
    return HTML.page(title: "Published", html)
  }

  private func profileLink(_ account: XAccount) -> String {
    "<a href=\"/x/\(account.username)\">@\(account.username)</a> <span class=\"soft\">\(account.posts.count)</span>"
  }

  private func profile(_ username: String) -> HTTPResponse {
    let found = router.x.state.withLock { state -> (XAccount, [XPost])? in
      guard let index = state.accountByName[username.lowercased()] else { return nil }
      let account = state.accounts[index]
      return (account, account.posts.suffix(Self.listLength).map { state.posts[$0] })
    }
    guard let (account, posts) = found else { return missing("There is no such account.") }
    let cards = posts.reversed().map { card($0, author: account, isAlone: false) }.joined()
    let empty = posts.isEmpty ? "<p class=\"soft\">Nothing published yet.</p>" : ""
    return HTML.page(
      title: "@\(account.username)",
      "<h1>\(HTML.escape(account.name)) <span class=\"soft\">@\(account.username)</span></h1>\n\(cards)\(empty)"
    )
  }

  private func hook(_ name: String) -> HTTPResponse {
    guard let hook = router.webhooks.state.withLock({ $0.hooks[name] }) else {
      return missing("There is no such hook.")
    }
    let cards = hook.events.suffix(Self.listLength).reversed().map { card($0, hook: name) }.joined()
    let empty = hook.events.isEmpty ? "<p class=\"soft\">Nothing received yet.</p>" : ""
    return HTML.page(title: name, "<h1>Hook \(HTML.escape(name))</h1>\n\(cards)\(empty)")
  }

  // MARK: One post

  private func post(_ idText: String, username: String) -> HTTPResponse {
    let found = router.x.state.withLock { state -> (XAccount, XPost)? in
      guard let id = XPlatform.id(idText), let index = state.postByID[id] else { return nil }
      let post = state.posts[index]
      return (state.accounts[post.account], post)
    }
    // As on the platform, the id alone counts; the name in the address may be any.
    guard let (account, post) = found else { return missing("There is no such post.") }
    return HTML.page(
      status: post.deletedAt == nil ? 200 : 404,
      title: "@\(account.username): \(post.text.prefix(60))",
      card(post, author: account, isAlone: true)
    )
  }

  private func card(_ post: XPost, author: XAccount, isAlone: Bool) -> String {
    var html =
      "<article>\n<div class=\"who\"><span class=\"face\">\(HTML.escape(author.name.prefix(1).uppercased()))</span>"
    html += "<span><b>\(HTML.escape(author.name))</b><br>"
    html += "<a class=\"soft\" href=\"/x/\(author.username)\">@\(author.username)</a></span></div>\n"
    if post.deletedAt != nil {
      html += "<p class=\"gone\">This post was deleted.</p>\n"
    } else {
      html += "<p class=\"text\">\(linked(post))</p>\n"
      for id in post.media { html += figure(id) }
      if !post.poll.isEmpty {
        html += "<ul>" + post.poll.map { "<li>\(HTML.escape($0))</li>" }.joined() + "</ul>\n"
      }
    }
    if let parent = post.replyTo {
      html += "<p class=\"soft\">Reply to <a href=\"/x/i/status/\(parent)\">\(parent)</a></p>\n"
    }
    html += "<a class=\"soft\" href=\"/x/\(author.username)/status/\(post.id)\">"
    html += "<time>\(CivilTime(milliseconds: post.at).iso)</time></a>"
    if isAlone { html += " <span class=\"soft\">· id \(post.id)</span>" }
    return html + "\n</article>\n"
  }

  /// The text with its links, but without the short link of its media: the picture stands there itself.
  private func linked(_ post: XPost) -> String {
    let scalars = Array(post.shownText.unicodeScalars)
    var html = ""
    var place = 0
    // The platform's own escapes of &, < and > are what an element needs.
    func text(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(scalars[range])) }
    for link in post.links {
      html += text(place..<link.start)
      if link.mediaKey == nil {
        html += "<a rel=\"noreferrer\" href=\"\(HTML.escape(link.expanded))\">\(HTML.escape(link.display))</a>"
      }
      place = link.end
    }
    return html + text(place..<scalars.count)
  }

  private func figure(_ id: Int64) -> String {
    guard let media = router.x.state.withLock({ $0.media[id] }) else { return "" }
    let alt = HTML.escape(media.altText ?? "")
    guard media.kind != .video else { return "<p class=\"soft\">Video, \(media.bytes.count) bytes</p>\n" }
    let caption = media.altText == nil ? "no alt text" : "Alt: \(alt)"
    return "<figure><img src=\"/media/\(id)\" alt=\"\(alt)\"><figcaption>\(caption)</figcaption></figure>\n"
  }

  private func event(_ id: String, hook name: String) -> HTTPResponse {
    let found = router.webhooks.state.withLock { state -> WebhookEvent? in
      guard let hook = state.hooks[name], let index = hook.eventByID[id] else { return nil }
      return hook.events[index]
    }
    guard let event = found else { return missing("There is no such event.") }
    let body = HTML.escape(String(decoding: event.body, as: UTF8.self))
    return HTML.page(
      status: event.deletedAt == nil ? 200 : 404,
      title: event.title.isEmpty ? event.id : event.title,
      card(event, hook: name)
        + "<h2>Body as received</h2>\n<pre>\(body)</pre>\n"
        + "<p class=\"soft\">Received \(event.deliveries) times, counted once.</p>\n"
    )
  }

  private func card(_ event: WebhookEvent, hook: String) -> String {
    var html = "<article>\n<p class=\"soft\">\(HTML.escape(event.type))</p>\n"
    if event.deletedAt != nil {
      html += "<p class=\"gone\">This post was deleted.</p>\n"
    } else {
      if !event.title.isEmpty { html += "<p><b>\(HTML.escape(event.title))</b></p>\n" }
      html += "<p class=\"text\">\(HTML.escape(event.text))</p>\n"
      if let link = event.link, link.hasPrefix("http://") || link.hasPrefix("https://") {
        html += "<p><a rel=\"noreferrer\" href=\"\(HTML.escape(link))\">\(HTML.escape(link))</a></p>\n"
      }
    }
    html += "<a class=\"soft\" href=\"/hooks/\(hook)/\(PercentCoding.encode(event.id))\">"
    return html + "<time>\(CivilTime(milliseconds: event.at).iso)</time></a>\n</article>\n"
  }

  // MARK: Media

  private func media(_ idText: String) -> HTTPResponse {
    guard let id = XPlatform.id(idText), let media = router.x.state.withLock({ $0.media[id] }), !media.bytes.isEmpty
    else { return missing("There is no such picture.") }
    // The type comes from the bytes, never from the sender: a page must not be served as a picture.
    let type = MediaFormat(media.bytes)?.rawValue ?? "application/octet-stream"
    var response = HTTPResponse(status: 200, contentType: type, body: media.bytes)
    response.set("x-content-type-options", "nosniff")
    return response
  }

  func missing(_ sentence: String) -> HTTPResponse {
    HTML.page(status: 404, title: "Not found", "<h1>\(sentence)</h1>")
  }
}
