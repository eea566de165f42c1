package import PluginKit

/// One message to a receiver: type, time and data, as Standard Webhooks advise.
package struct WebhookEvent {
  /// The body of the request.
  package let body: JSONLiteral

  /// A post that is published.
  package static func published(_ post: Post, key: String, at time: String) -> WebhookEvent {
    var data: [String: JSONLiteral] = [
      "id": .string(key), "text": .string(post.text), "tags": .strings(post.tags), "mentions": .strings(post.mentions),
      "media": .array(post.media.map(Self.media)),
    ]
    data["title"] = post.title.map(JSONLiteral.string)
    data["excerpt"] = post.excerpt.map(JSONLiteral.string)
    data["content"] = post.content.map(JSONLiteral.string)
    data["url"] = post.url.map(JSONLiteral.string)
    return WebhookEvent(type: "post.published", time: time, data: data)
  }

  /// A post that is removed; `id` is what the receiver called it, or our own key.
  package static func deleted(id: String, key: String, at time: String) -> WebhookEvent {
    WebhookEvent(type: "post.deleted", time: time, data: ["id": .string(id), "request": .string(key)])
  }

  /// A message that only asks whether the receiver is there.
  package static func ping(at time: String) -> WebhookEvent {
    WebhookEvent(type: "test.ping", time: time, data: [:])
  }

  private init(type: String, time: String, data: [String: JSONLiteral]) {
    body = ["type": .string(type), "timestamp": .string(time), "data": .object(data)]
  }

  /// Facts of a file; its bytes are not sent.
  private static func media(_ item: MediaItem) -> JSONLiteral {
    var facts: [String: JSONLiteral] = ["type": .string(item.type), "bytes": .int(item.bytes)]
    facts["width"] = item.width.map(JSONLiteral.int)
    facts["height"] = item.height.map(JSONLiteral.int)
    facts["sha256"] = item.sha256.map(JSONLiteral.string)
    facts["alt"] = item.alt.map(JSONLiteral.string)
    facts["filename"] = item.filename.map(JSONLiteral.string)
    return .object(facts)
  }
}
