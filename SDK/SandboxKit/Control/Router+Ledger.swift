/// The ledger: what was published, so that a duplicate is a fact.
extension Router {
  private struct Filter {
    var platform: Platform?
    var account: String?
    var after: Int64 = .min
    var showsEntries = true

    func includes(_ platform: Platform) -> Bool { self.platform == nil || self.platform == platform }

    init(_ request: HTTPRequest) throws(ControlError) {
      guard let items = request.queryItems() else { throw ControlError("the query is not valid") }
      for item in items {
        switch item.name {
        case "platform":
          guard let value = Platform(rawValue: item.value) else {
            throw ControlError("platform must be one of \(Platform.names)")
          }
          platform = value
        case "account": account = item.value
        case "after":
          guard let value = Int64(item.value) ?? CivilTime.milliseconds(iso: item.value) else {
            throw ControlError("after must be a time: ISO 8601 in UTC, or unix milliseconds")
          }
          after = value
        case "entries": showsEntries = item.value != "false"
        default: throw ControlError("unknown: \(item.name); known: account, after, entries, platform")
        }
      }
    }
  }

  func showLedger(_ request: HTTPRequest) throws(ControlError) -> HTTPResponse {
    let filter = try Filter(request)
    var writer = JSONWriter(capacity: 64 * 1024)
    writer.object { ledger in
      if filter.includes(.x) { writeX(filter, &ledger) }
      if filter.includes(.webhook) { writeWebhooks(filter, &ledger) }
      if filter.includes(.microblog) { writeMicroblog(filter, &ledger) }
      writeOAuth(
        platform: filter.platform,
        account: filter.account,
        after: filter.after,
        showsFamilies: filter.showsEntries,
        &ledger
      )
    }
    return .json(writer.bytes)
  }

  private func writeX(_ filter: Filter, _ ledger: inout JSONWriter) {
    // Copies share their storage, so the lock is not held while thousands of entries are written.
    let (posts, names, media) = x.state.withLock { state in (state.posts, state.accounts.map(\.username), state.media) }
    let wanted = posts.filter { post in
      post.at > filter.after && (filter.account.map { $0 == names[post.account] } ?? true)
    }
    ledger.object(Platform.x.rawValue) { part in
      part.member("count", wanted.count)
      part.member("deleted", wanted.count { $0.deletedAt != nil })
      guard filter.showsEntries else { return }
      part.array("entries") { list in
        for post in wanted { list.object { write(post, username: names[post.account], &$0) } }
      }
      part.array("uploads") { list in
        for file in media.values.sorted(by: { $0.id < $1.id }) {
          let username = names[file.account]
          guard file.at > filter.after, filter.account.map({ $0 == username }) ?? true else { continue }
          list.object { write(file, username: username, &$0) }
        }
      }
    }
  }

  private func write(_ file: XMedia, username: String, _ writer: inout JSONWriter) {
    writer.member("id", String(file.id))
    writer.member("account", username)
    writer.member("category", file.category)
    writer.member("type", file.type)
    writer.member("declaredBytes", file.declaredBytes)
    writer.member("receivedBytes", file.traffic.bytes)
    writer.member("parts", file.traffic.parts)
    writer.member("repeatedParts", file.traffic.repeatedParts)
    writer.member("statusChecks", file.traffic.statusChecks)
    writer.member("descriptions", file.traffic.descriptions)
    writer.member("state", file.state(at: clock()))
    writer.member("at", CivilTime(milliseconds: file.at).iso)
  }

  private func write(_ post: XPost, username: String, _ writer: inout JSONWriter) {
    writer.member("id", String(post.id))
    writer.member("account", username)
    writer.member("text", post.text)
    writer.member("url", "https://x.com/\(username)/status/\(post.id)")
    writer.member("page", "\(origin)/x/\(username)/status/\(post.id)")
    writer.member("at", CivilTime(milliseconds: post.at).iso)
    writer.member("media", post.media.count)
    writer.array("mediaIds") { for id in post.media { $0.string(String(id)) } }
    if let parent = post.replyTo { writer.member("replyTo", String(parent)) }
    writer.member("deleted", post.deletedAt != nil)
  }

  private func writeWebhooks(_ filter: Filter, _ ledger: inout JSONWriter) {
    let hooks = webhooks.state.withLock { state in state.order.compactMap { state.hooks[$0] } }
    let wanted = hooks.filter { hook in filter.account.map { $0 == hook.name } ?? true }
    let published = wanted.map { hook in
      hook.events.filter { $0.at > filter.after && $0.type == WebhookReceiver.publishedType }
    }
    let others = wanted.map { hook in
      hook.events.count { $0.at > filter.after && $0.type != WebhookReceiver.publishedType }
    }
    ledger.object(Platform.webhook.rawValue) { part in
      part.member("count", published.reduce(0) { $0 + $1.count })
      part.member("deleted", published.joined().count { $0.deletedAt != nil })
      part.member("otherEvents", others.reduce(0, +))
      guard filter.showsEntries else { return }
      part.array("entries") { list in
        for (hook, events) in zip(wanted, published) {
          for event in events { list.object { write(event, hook: hook.name, &$0) } }
        }
      }
    }
  }

  private func write(_ event: WebhookEvent, hook: String, _ writer: inout JSONWriter) {
    let page = WebhookReceiver.page(hook: hook, id: event.id, origin: origin)
    writer.member("id", event.id)
    writer.member("account", hook)
    writer.member("type", event.type)
    writer.member("text", event.text)
    writer.member("url", page)
    writer.member("page", page)
    writer.member("at", CivilTime(milliseconds: event.at).iso)
    writer.member("media", event.mediaCount)
    writer.member("deliveries", event.deliveries)
    writer.member("deleted", event.deletedAt != nil)
  }

  private func writeMicroblog(_ filter: Filter, _ ledger: inout JSONWriter) {
    let (notes, names) = microblog.state.withLock { state in (state.notes, state.accounts.map(\.username)) }
    let wanted = notes.filter { note in
      note.at > filter.after && (filter.account.map { $0 == names[note.account] } ?? true)
    }
    ledger.object(Platform.microblog.rawValue) { part in
      part.member("count", wanted.count)
      part.member("deleted", wanted.count { $0.deletedAt != nil })
      guard filter.showsEntries else { return }
      part.array("entries") { list in
        for note in wanted {
          list.object { writer in
            let page = microblog.page(note, origin)
            writer.member("id", String(note.id))
            writer.member("account", names[note.account])
            writer.member("text", note.text)
            writer.member("url", page)
            writer.member("page", page)
            writer.member("at", CivilTime(milliseconds: note.at).iso)
            writer.member("media", note.pictures.count)
            writer.member("deleted", note.deletedAt != nil)
          }
        }
      }
    }
  }
}
