import FoundationEssentials
package import PluginKit

/// Publishes to X through its API v2.
package struct XPlatform: Platform {
  package static let manifest = PlatformManifest(
    id: "x",
    version: "1.0.0",
    summary: "Publishes posts with text, links and pictures to X."
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
        images: Int64(PostRules.images),
        imageBytes: PostRules.imageBytes,
        imageTypes: PostRules.imageTypes,
        altLimit: Int64(PostRules.altLimit)
      ),
      features: ["altText", "delete", "hashtags", "link", "reconcile"]
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
    return Rendering(text: review.composition.text, length: review.length, findings: review.findings)
  }

  // MARK: Publishing

  package func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
    let review = PostRules(try job.account.decodedCapabilities()).review(post)
    if let problem = review.findings.first(where: { $0.severity == .error }) { throw Self.refusal(problem) }
    var body: [String: JSONLiteral] = [:]
    if !review.composition.text.isEmpty { body["text"] = .string(review.composition.text) }
    if !post.media.isEmpty { body["media"] = ["media_ids": .strings(try await upload(post.media, job))] }
    let answer = try await job.http(rule: "createPost", step: "post", json: .object(body))
    guard answer.isSuccess, let id = Self.id(in: answer) else { throw AnswerErrors.error(answer, .commit) }
    return Publication.Published(
      remoteID: id,
      url: Self.publicURL(of: id, by: job.account),
      warnings: review.findings.map(\.message)
    )
  }

  private func upload(_ media: [MediaItem], _ job: JobContext) async throws -> [String] {
    var ids: [String] = []
    for (index, item) in media.enumerated() {
      let category = item.type == "image/gif" ? "tweet_gif" : "tweet_image"
      let upload = try await job.http(
        rule: "uploadMedia",
        step: "upload-\(index + 1)",
        body: .multipart([
          .media("media", item), .text("media_category", category), .text("media_type", item.type),
        ])
      )
      guard upload.isSuccess, let id = Self.id(in: upload) else { throw AnswerErrors.error(upload, .media) }
      ids.append(id)
      guard let alt = item.alt, !alt.isEmpty else { continue }
      let description = try await job.http(
        rule: "describeMedia",
        step: "describe-\(index + 1)",
        json: ["id": .string(id), "metadata": ["alt_text": ["text": .string(alt)]]]
      )
      guard description.isSuccess else { throw AnswerErrors.error(description, .media) }
    }
    return ids
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
    if let known = commits.compactMap(\.remoteID).first {
      return .found(remoteID: known, url: Self.publicURL(of: known, by: job.account))
    }
    guard Self.isID(job.account.id) else { return .unknown(why: "The account's id is not known.") }
    let review = PostRules(try job.account.decodedCapabilities()).review(post)
    let sent = commits.compactMap { $0.sentAt.flatMap(WireDate.parse) }.min() ?? job.now
    let notBefore = Date(timeIntervalSince1970: sent.timeIntervalSince1970 - Self.clockMargin)
    let wanted = Timeline.Wanted(text: review.composition.text, media: post.media.count, notBefore: notBefore)
    guard let ids = try await search(for: wanted, long: review.length.count > PostRules.ordinaryLimit, job) else {
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
      "tweet.fields": "attachments,created_at,entities" + (long ? ",note_tweet" : ""),
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
    let kind: ErrorKind = finding.field.hasPrefix("media") ? .mediaRejected : .contentRejected
    return PlatformError(kind, finding.message, field: finding.field)
  }

  private static func id(in answer: HTTPAnswer) -> String? {
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
