import FoundationEssentials
package import PluginKit

/// Publishes to X through its API v2.
package struct XPlatform: Platform {
  package static let manifest = PlatformManifest(
    id: "x",
    version: "1.0.0",
    summary: "Publishes posts and threads with text, links, pictures and videos to X."
  )

  /// Pages of a timeline that are read before giving up.
  private static let maximumPages = 10
  /// The platform's clock may be behind the host's by this much.
  private static let clockMargin: Double = 120

  package init() {}

  // MARK: Account

  package func identify(_ context: AccountContext) async throws -> AccountIdentity {
    let user = try await me(context)
    let handle = try user.string("username")
    return AccountIdentity(
      id: try user.string("id"),
      name: try user.string("name"),
      handle: handle,
      url: "https://x.com/\(handle)",
      type: try user.optionalString("subscription_type")
    )
  }

  package func capabilities(_ context: AccountContext) async throws -> Capabilities {
    let subscription = try await me(context).optionalString("subscription_type")
    let isLong = subscription == "Premium" || subscription == "PremiumPlus"
    return Capabilities(
      text: Capabilities.Text(
        limit: Int64(isLong ? PostRules.premiumLimit : PostRules.ordinaryLimit),
        target: Int64(PostRules.ordinaryLimit),
        unit: "weighted"
      ),
      media: Capabilities.Media(
        images: Int64(MediaRules.images),
        imageBytes: MediaRules.imageBytes,
        imageTypes: MediaRules.imageTypes,
        altLimit: Int64(MediaRules.altLimit),
        videos: 1,
        videoBytes: MediaRules.videoBytes,
        videoTypes: MediaRules.videoTypes
      ),
      segments: Int64(PostRules.segments),
      features: ["altText", "delete", "hashtags", "link", "reconcile", "threads", "video"]
    )
  }

  private func me(_ context: AccountContext) async throws -> JSONObjectView {
    let answer = try await context.http(
      rule: "me",
      query: ["user.fields": "id,name,username,verified,verified_type,subscription_type"]
    )
    guard answer.isSuccess, let user = answer.json?.pointer("/data") else { throw AnswerErrors.error(answer, .read) }
    return try user.object()
  }

  // MARK: Text

  package func validate(_ post: Post, _ context: PureContext) throws -> Validation {
    let review = PostRules(try context.capabilities()).review(post)
    return Validation(findings: review.findings, length: review.length)
  }

  package func render(_ post: Post, _ context: PureContext) throws -> Rendering {
    let review = PostRules(try context.capabilities()).review(post)
    return Rendering(
      text: review.composition.text,
      length: review.length,
      segments: review.segments.map { RenderedSegment(text: $0.text, length: $0.length) },
      findings: review.findings
    )
  }

  // MARK: Publishing

  package func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
    let review = PostRules(try job.account.decodedCapabilities()).review(post)
    if let problem = review.findings.first(where: { $0.severity == .error }) { throw Self.refusal(problem) }
    // All files first: what cannot be used is found out before anything of a thread is public.
    var upload = MediaUpload(job)
    let media = try await upload.run([post.media] + post.segments.map(\.media))
    var published: [PublishedSegment] = []
    for (index, text) in review.texts.enumerated() {
      var body = PostOptions.members(post.options, isFirst: index == 0)
      if !text.isEmpty { body["text"] = .string(text) }
      if !media[index].isEmpty { body["media"] = ["media_ids": .strings(media[index])] }
      if let parent = published.last { body["reply"] = ["in_reply_to_tweet_id": .string(parent.remoteID)] }
      do {
        let id = try await create(body, step: Self.step(index), job)
        published.append(PublishedSegment(remoteID: id, url: Self.publicURL(of: id, by: job.account)))
      } catch let error as PlatformError where !published.isEmpty && error.kind != .outcomeUnknown {
        throw Self.partial(published, of: review.texts.count, error)
      }
    }
    return Publication.Published(
      remoteID: published[0].remoteID,
      url: published[0].url,
      segments: published.count > 1 ? published : [],
      warnings: review.findings.map(\.message)
    )
  }

  /// The step of each post of a thread, from 0.
  private static func step(_ index: Int) -> String { index == 0 ? "post" : "post-\(index + 1)" }

  private func create(_ body: [String: JSONLiteral], step: String, _ job: JobContext) async throws -> String {
    let answer = try await job.http(rule: "createPost", step: step, json: .object(body))
    // Where somebody had to look, the host knows the id and there is no body.
    if answer.isSuccess, let id = Self.confirmedID(in: answer) ?? Self.id(in: answer) { return id }
    guard answer.isReplayed, answer.isSuccess, answer.json == nil else { throw AnswerErrors.error(answer, .commit) }
    throw PlatformError(
      .notPermitted,
      "This post of the thread is on X, but its id is not known, so nothing can answer to it.",
      userMessage: "Publish the rest of the thread by hand, as an answer to the last post that is out."
    )
  }

  private static func partial(
    _ published: [PublishedSegment],
    of total: Int,
    _ error: PlatformError
  ) -> PartialPublication {
    PartialPublication(
      Publication.Partial(
        remoteID: published[0].remoteID,
        url: published[0].url,
        sent: Int64(published.count),
        total: Int64(total),
        segments: published,
        error: error
      )
    )
  }

  package func delete(_ remoteID: String, _ job: JobContext) async throws {
    guard Self.isID(remoteID) else {
      throw PlatformError(.invalidParams, "The id is not one of X.", field: "remoteId")
    }
    let answer = try await job.http(rule: "deletePost", step: "delete", path: ["id": remoteID])
    if answer.status == 404 { return }
    let deleted = try answer.json?.pointer("/data/deleted")?.bool() ?? false
    guard answer.isSuccess, deleted else { throw AnswerErrors.error(answer, .commit) }
  }

  // MARK: Reconciling

  package func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict {
    let commits = evidence.filter { $0.rule == "createPost" }
    let open = commits.filter { $0.outcome == nil || $0.outcome == "unknown" }
    if let known = open.compactMap(\.remoteID).first {
      return .found(remoteID: known, url: Self.publicURL(of: known, by: job.account))
    }
    guard Self.isID(job.account.id) else { return .unknown(why: "The account's id is not known.") }
    let review = PostRules(try job.account.decodedCapabilities()).review(post)
    let media = [post.media] + post.segments.map(\.media)
    let index = review.texts.indices.first { index in open.contains { $0.step == Self.step(index) } } ?? 0
    let sent = open.compactMap { $0.sentAt.flatMap(WireDate.parse) }.min() ?? job.now
    var parent = Timeline.Parent.none
    if index > 0 {
      let before = commits.last { $0.step == Self.step(index - 1) && $0.outcome == "accepted" }
      parent = before?.remoteID.map { .post($0) } ?? .any
    }
    let wanted = Timeline.Wanted(
      text: review.texts[index],
      media: media[index].count,
      parent: parent,
      notBefore: Date(timeIntervalSince1970: sent.timeIntervalSince1970 - Self.clockMargin)
    )
    let isLong = WeightedLength.of(review.texts[index]) > PostRules.ordinaryLimit
    guard let ids = try await search(for: wanted, long: isLong, job) else {
      return .unknown(why: "The timeline is longer than what was searched.")
    }
    switch ids.count {
    case 0: return .absent
    case 1: return .found(remoteID: ids[0], url: Self.publicURL(of: ids[0], by: job.account))
    default: return .unknown(why: "\(ids.count) posts on X have this text: \(ids.joined(separator: ", ")).")
    }
  }

  /// Returns the ids of all posts that match, nil if the timeline could not be read to its end.
  private func search(for wanted: Timeline.Wanted, long: Bool, _ job: JobContext) async throws -> [String]? {
    var found: [String] = []
    var query = [
      "exclude": "retweets",
      "max_results": "100",
      "start_time": WireDate.text(wanted.notBefore),
      "tweet.fields": "attachments,created_at,entities,referenced_tweets" + (long ? ",note_tweet" : ""),
    ]
    for number in 1...Self.maximumPages {
      let answer = try await job.http(
        rule: "timeline",
        step: "timeline-\(number)",
        path: ["userId": job.account.id],
        query: query
      )
      guard answer.isSuccess, !answer.truncated, let page = try answer.json?.object(),
        let meta = try page.optionalObject("meta")
      else { throw AnswerErrors.error(answer, .read) }
      for entry in try page.optionalArray("data").map(Array.init) ?? [] {
        if let id = try Timeline.match(entry, wanted) { found.append(id) }
      }
      guard let next = try meta.optionalString("next_token") else { return found }
      query["pagination_token"] = next
    }
    return nil
  }

  // MARK: Small parts

  private static func refusal(_ finding: Finding) -> PlatformError {
    let isMedia = finding.field.hasPrefix("media") || finding.field.contains("].media")
    let kind: ErrorKind = isMedia ? .mediaRejected : .contentRejected
    return PlatformError(kind, finding.message, field: finding.field)
  }

  private static func confirmedID(in answer: HTTPAnswer) -> String? {
    answer.remoteID.flatMap { isID($0) ? $0 : nil }
  }

  static func id(in answer: HTTPAnswer) -> String? {
    // An id of another type is as good as none: the caller then treats the answer as unreadable.
    guard let id = try? answer.json?.pointer("/data/id")?.string(), isID(id) else { return nil }
    return id
  }

  private static func isID(_ text: String) -> Bool {
    (1...19).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }

  /// The public address; without a usable handle the one that needs none.
  package static func publicURL(of id: String, by account: Account) -> String {
    let handle = (account.handle ?? "").drop { $0 == "@" }
    let isUsable =
      (1...15).contains(handle.utf8.count)
      && handle.utf8.allSatisfy { byte in
        byte == 0x5F || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      }
    return isUsable ? "https://x.com/\(handle)/status/\(id)" : "https://x.com/i/web/status/\(id)"
  }
}
