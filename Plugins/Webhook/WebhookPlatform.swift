import FoundationEssentials
package import PluginKit

/// Sends posts to an address of the user's own; the host signs each message.
package struct WebhookPlatform: Platform {
  package static let manifest = PlatformManifest(
    id: "webhook",
    version: "1.0.0",
    summary: "Sends posts to an HTTP address of your own, signed as Standard Webhooks 1.0.0."
  )

  private static let textLimit: Int64 = 20_000
  private static let imageTypes = ["image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"]

  package init() {}

  // MARK: Account

  package func identify(_ context: AccountContext) async throws -> AccountIdentity {
    guard let address = context.account.origin ?? context.account.url, let endpoint = Endpoint(address) else {
      throw PlatformError(.invalidParams, "The address of the receiver is missing.", field: "account.origin")
    }
    let event = WebhookEvent.ping(at: WireDate.text(Date()))
    let answer = try await context.http(rule: "ping", step: "ping", json: event.body)
    guard answer.isSuccess else { throw ReceiverErrors.error(answer) }
    return AccountIdentity(id: endpoint.name, name: endpoint.host, type: "webhook")
  }

  package func capabilities(_ context: AccountContext) async throws -> Capabilities {
    Capabilities(
      text: Capabilities.Text(limit: Self.textLimit, unit: "graphemes"),
      media: Capabilities.Media(
        images: 20,
        imageBytes: 1 << 30,
        imageTypes: Self.imageTypes,
        altLimit: 10_000
      ),
      features: ["altText", "content", "delete", "link"]
    )
  }

  // MARK: Text

  package func validate(_ post: Post, _ context: PureContext) throws -> Validation {
    let rendering = try render(post, context)
    return Validation(findings: rendering.findings, length: rendering.length)
  }

  package func render(_ post: Post, _ context: PureContext) throws -> Rendering {
    let count = Int64(post.text.count)
    var findings: [Finding] = []
    let parts = [post.text, post.title ?? "", post.excerpt ?? "", post.content ?? "", post.url ?? ""]
    if parts.allSatisfy(\.isEmpty), post.media.isEmpty {
      findings.append(Finding(.error, field: "text", code: "empty", "A post needs some content."))
    }
    if count > Self.textLimit {
      findings.append(
        Finding(
          .error,
          field: "text",
          code: "tooLong",
          "The text is too long.",
          actual: "\(count)",
          allowed: "\(Self.textLimit)"
        )
      )
    }
    let length = TextLength(count: count, limit: Self.textLimit, unit: "graphemes")
    return Rendering(text: post.text, length: length, findings: findings)
  }

  // MARK: Publishing

  package func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published {
    let event = WebhookEvent.published(post, key: job.key, at: WireDate.text(job.now, milliseconds: true))
    let answer = try await job.http(rule: "send", step: "send", json: event.body)
    guard answer.isSuccess else { throw ReceiverErrors.error(answer) }
    let said = Self.reply(answer)
    return Publication.Published(remoteID: said.id ?? job.key, url: said.url)
  }

  package func delete(_ remoteID: String, _ job: JobContext) async throws {
    let time = WireDate.text(job.now, milliseconds: true)
    let event = WebhookEvent.deleted(id: remoteID, key: job.key, at: time)
    let answer = try await job.http(rule: "sendDeleted", step: "delete", json: event.body)
    guard answer.isSuccess || answer.status == 404 else { throw ReceiverErrors.error(answer) }
  }

  package func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict {
    .unknown(why: "A webhook cannot be asked; the message is sent again under the same id instead.")
  }

  /// What the receiver chose to say. Saying nothing is fine, so anything unusable counts as nothing.
  private static func reply(_ answer: HTTPAnswer) -> (id: String?, url: String?) {
    guard let object = try? answer.json?.object() else { return (nil, nil) }
    let id = (try? object.optionalString("id")) ?? nil
    let url = (try? object.optionalString("url")) ?? nil
    return (
      id.flatMap { (1...200).contains($0.utf8.count) ? $0 : nil },
      url.flatMap { $0.utf8.count <= 2_000 && ($0.hasPrefix("https://") || $0.hasPrefix("http://")) ? $0 : nil }
    )
  }
}
