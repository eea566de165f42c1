/// The body of a request that creates a post, checked against the schema.
struct XPostDraft: Sendable {
  var analysis = XTextAnalysis("")
  var mediaIDs: [Int64] = []
  var taggedUsers: [Int64] = []
  var poll: [String] = []
  var replyTo: Int64?
  var quotes: Int64?
  var edits: Int64?

  static let fields: Set<String> = [
    "text", "media", "poll", "reply", "quote_tweet_id", "reply_settings", "geo", "community_id",
    "share_with_followers", "for_super_followers_only", "direct_message_deep_link", "card_uri", "nullcast",
    "made_with_ai", "paid_partnership", "edit_options",
  ]
  private static let replySettings = ["following", "mentionedUsers", "subscribers", "verified"]

  init(_ members: [JSON.Member]) throws(XProblem) {
    var exclusive: [String] = []
    var hasText = false
    for member in members {
      switch member.name {
      case "text":
        analysis = XTextAnalysis(try Self.string(member.value, "text"))
        hasText = analysis.text.unicodeScalars.contains { !$0.properties.isWhitespace }
      case "media":
        try readMedia(try Self.object(member.value, "media"))
        exclusive.append("media")
      case "poll":
        try readPoll(try Self.object(member.value, "poll"))
        exclusive.append("poll")
      case "reply": try readReply(try Self.object(member.value, "reply"))
      case "quote_tweet_id":
        quotes = try Self.identifier(member.value, "quote_tweet_id")
        exclusive.append("quote_tweet_id")
      case "card_uri", "direct_message_deep_link":
        _ = try Self.string(member.value, member.name)
        exclusive.append(member.name)
      case "reply_settings":
        _ = try Self.choice(member.value, "reply_settings", Self.replySettings)
      case "geo":
        for inner in try Self.object(member.value, "geo") {
          guard inner.name == "place_id" else { throw .unknownField("geo.\(inner.name)") }
          _ = try Self.string(inner.value, "geo.place_id")
        }
      case "community_id": _ = try Self.identifier(member.value, "community_id")
      case "share_with_followers", "for_super_followers_only", "nullcast", "made_with_ai", "paid_partnership":
        guard member.value.bool != nil else { throw Self.wrongType(member.value, member.name, "boolean") }
      case "edit_options":
        for inner in try Self.object(member.value, "edit_options") {
          guard inner.name == "previous_post_id" else { throw .unknownField("edit_options.\(inner.name)") }
          edits = try Self.identifier(inner.value, "edit_options.previous_post_id")
        }
      default: throw .unknownField(member.name)
      }
    }
    guard exclusive.count < 2 else {
      throw .invalid("\(exclusive.joined(separator: ", ")) are mutually exclusive", parameter: exclusive[1])
    }
    guard hasText || !mediaIDs.isEmpty else {
      throw .invalid("One of $.text or $.media is required", parameter: "text", values: [""])
    }
    if analysis.cashtags > 1 {
      throw .invalid("A post may contain at most 1 cashtag.", parameter: "text", values: [String(analysis.cashtags)])
    }
  }

  // MARK: Parts

  private mutating func readMedia(_ members: [JSON.Member]) throws(XProblem) {
    for member in members {
      switch member.name {
      case "media_ids": mediaIDs = try Self.identifiers(member.value, "media.media_ids", 1...4)
      case "tagged_user_ids": taggedUsers = try Self.identifiers(member.value, "media.tagged_user_ids", 0...10)
      default: throw .unknownField("media.\(member.name)")
      }
    }
    guard !mediaIDs.isEmpty else { throw .invalid("$.media.media_ids: is missing", parameter: "media.media_ids") }
    guard Set(mediaIDs).count == mediaIDs.count else {
      throw .invalid("Your media IDs are invalid.", parameter: "media.media_ids", values: mediaIDs.map(String.init))
    }
  }

  private mutating func readPoll(_ members: [JSON.Member]) throws(XProblem) {
    var minutes: Int?
    for member in members {
      switch member.name {
      case "options":
        guard let options = member.value.array, (2...4).contains(options.count) else {
          throw .invalid("$.poll.options: must have 2 to 4 items", parameter: "poll.options")
        }
        for option in options {
          let text = try Self.string(option, "poll.options")
          guard (1...25).contains(text.count) else {
            throw .invalid("$.poll.options: must be 1 to 25 characters long", parameter: "poll.options", values: [text])
          }
          poll.append(text)
        }
      case "duration_minutes":
        guard let value = member.value.integer, (5...10_080).contains(value) else {
          throw .invalid("$.poll.duration_minutes: must be from 5 to 10080", parameter: "poll.duration_minutes")
        }
        minutes = value
      case "reply_settings": _ = try Self.choice(member.value, "poll.reply_settings", Self.replySettings)
      default: throw .unknownField("poll.\(member.name)")
      }
    }
    guard !poll.isEmpty else { throw .invalid("$.poll.options: is missing", parameter: "poll.options") }
    guard minutes != nil else {
      throw .invalid("$.poll.duration_minutes: is missing", parameter: "poll.duration_minutes")
    }
  }

  private mutating func readReply(_ members: [JSON.Member]) throws(XProblem) {
    for member in members {
      switch member.name {
      case "in_reply_to_tweet_id": replyTo = try Self.identifier(member.value, "reply.in_reply_to_tweet_id")
      case "exclude_reply_user_ids":
        _ = try Self.identifiers(member.value, "reply.exclude_reply_user_ids", 0...1000)
      case "auto_populate_reply_metadata":
        guard member.value.bool != nil else {
          throw Self.wrongType(member.value, "reply.auto_populate_reply_metadata", "boolean")
        }
      default: throw .unknownField("reply.\(member.name)")
      }
    }
    guard replyTo != nil else {
      throw .invalid("$.reply.in_reply_to_tweet_id: is missing", parameter: "reply.in_reply_to_tweet_id")
    }
  }

  // MARK: Types

  static func wrongType(_ value: JSON, _ path: String, _ wanted: String) -> XProblem {
    .invalid("$.\(path): \(value.kind) found, \(wanted) expected", parameter: path)
  }

  static func string(_ value: JSON, _ path: String) throws(XProblem) -> String {
    guard let text = value.string else { throw wrongType(value, path, "string") }
    return text
  }

  static func object(_ value: JSON, _ path: String) throws(XProblem) -> [JSON.Member] {
    guard let members = value.members else { throw wrongType(value, path, "object") }
    return members
  }

  static func choice(_ value: JSON, _ path: String, _ allowed: [String]) throws(XProblem) -> String {
    let text = try string(value, path)
    guard allowed.contains(text) else {
      throw .invalid(
        "$.\(path): does not have a value in the enumeration [\(allowed.joined(separator: ", "))]",
        parameter: path,
        values: [text]
      )
    }
    return text
  }

  static func identifier(_ value: JSON, _ path: String) throws(XProblem) -> Int64 {
    let text = try string(value, path)
    guard let id = XPlatform.id(text) else {
      throw .invalid("$.\(path): does not match the regex pattern ^[0-9]{1,19}$", parameter: path, values: [text])
    }
    return id
  }

  private static func identifiers(
    _ value: JSON,
    _ path: String,
    _ counts: ClosedRange<Int>
  ) throws(XProblem) -> [Int64] {
    guard let values = value.array else { throw wrongType(value, path, "array") }
    guard counts.contains(values.count) else {
      throw .invalid(
        "$.\(path): must have \(counts.lowerBound) to \(counts.upperBound) items but found \(values.count)",
        parameter: path,
        values: values.compactMap(\.string)
      )
    }
    var ids: [Int64] = []
    for value in values { ids.append(try identifier(value, path)) }
    return ids
  }
}
