extension XPlatform {
  static let imageBytes = 5 * 1024 * 1024
  static let gifBytes = 15 * 1024 * 1024
  static let partBytes = 5 * 1024 * 1024
  static let videoTypes = ["video/mp4", "video/quicktime"]
  static let shortestVideo = 0.5

  // MARK: One shot

  func upload(_ request: HTTPRequest, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    let form = try UploadForm(
      request,
      known: ["media", "media_category", "media_type", "shared", "additional_owners"]
    )
    let bytes = try form.media()
    guard let category = form.text("media_category") else {
      throw .invalid("media_category is missing", parameter: "media_category")
    }
    // Sources disagree about GIFs in one shot; the newest text of the specification lists them.
    guard ["tweet_image", "tweet_gif", "dm_image", "subtitles"].contains(category) else {
      throw .invalid(
        "media_category must be one of tweet_image, tweet_gif, dm_image, subtitles",
        parameter: "media_category",
        values: [category]
      )
    }
    guard let format = MediaFormat(bytes), format != .mp4, category != "tweet_gif" || format == .gif else {
      throw .invalid("media type unrecognized.", parameter: "media")
    }
    let limit = category == "tweet_gif" ? Self.gifBytes : Self.imageBytes
    guard bytes.count <= limit else {
      throw .invalid("File size exceeds \(limit) bytes.", parameter: "media", values: [String(bytes.count)])
    }
    if let type = form.text("media_type"), type != format.rawValue {
      throw .invalid("media_type does not match the file.", parameter: "media_type", values: [type])
    }
    let media = state.withLock { state in
      let media = XMedia(
        id: state.makeID(now: call.now),
        account: account,
        type: format.rawValue,
        kind: format.kind,
        bytes: bytes,
        progress: .ready,
        declaredBytes: bytes.count,
        expiresAt: call.now + Int64(call.settings.mediaExpirySeconds) * 1000,
        category: category,
        at: call.now,
        traffic: .init(parts: 1, bytes: bytes.count)
      )
      state.media[media.id] = media
      return media
    }
    return Self.describe(media, call)
  }

  // MARK: In parts

  func initializeUpload(_ request: HTTPRequest, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    var type: String?
    var category: String?
    var total: Int?
    for member in try Self.object(in: request) {
      switch member.name {
      case "media_type": type = try XPostDraft.string(member.value, "media_type")
      case "media_category":
        category = try XPostDraft.choice(
          member.value,
          "media_category",
          ["tweet_video", "tweet_gif", "tweet_image", "amplify_video", "dm_video", "dm_gif", "dm_image"]
        )
      case "total_bytes":
        guard let value = member.value.integer, (0...17_179_869_184).contains(value) else {
          throw .invalid("$.total_bytes: must be from 0 to 17179869184", parameter: "total_bytes")
        }
        total = value
      case "shared", "additional_owners": break
      default: throw .unknownField(member.name)
      }
    }
    guard let type, let category, let total else {
      throw .invalid("media_type, media_category and total_bytes are required")
    }
    let isVideo = category.hasSuffix("video")
    let isGIF = category.hasSuffix("gif")
    let videoBytes = state.withLock { $0.accounts[account].subscription.videoBytes }
    let limit = isVideo ? videoBytes : isGIF ? Self.gifBytes : Self.imageBytes
    guard (1...limit).contains(total) else {
      throw .invalid("File size exceeds \(limit) bytes.", parameter: "total_bytes", values: [String(total)])
    }
    let types =
      isVideo ? Self.videoTypes : isGIF ? ["image/gif"] : ["image/gif", "image/jpeg", "image/png", "image/webp"]
    guard types.contains(type) else {
      throw .invalid("media_type does not fit media_category.", parameter: "media_type", values: [type])
    }
    let media = state.withLock { state in
      let media = XMedia(
        id: state.makeID(now: call.now),
        account: account,
        type: type,
        kind: isVideo ? .video : isGIF || type == "image/gif" ? .gif : .image,
        bytes: [],
        progress: .open,
        declaredBytes: total,
        expiresAt: call.now + 1_295_999_000,
        category: category,
        at: call.now
      )
      state.media[media.id] = media
      return media
    }
    let body = JSONWriter.object {
      $0.object("data") {
        $0.member("id", String(media.id))
        $0.member("media_key", media.key)
        $0.member("expires_after_secs", 1_295_999)
      }
    }
    return .json(body)
  }

  func appendUpload(
    _ request: HTTPRequest,
    _ idText: String,
    _ account: Int,
    _ call: XCall
  ) throws(XProblem) -> HTTPResponse {
    let form = try UploadForm(request, known: ["media", "segment_index"])
    let bytes = try form.media()
    guard bytes.count <= Self.partBytes else { throw .tooLarge }
    guard let text = form.text("segment_index"), let segment = Int(text), (0...999).contains(segment) else {
      throw .invalid("segment_index must be from 0 to 999", parameter: "segment_index")
    }
    let expiresAt = try locked { (state) throws(XProblem) in
      let id = try state.openMedia(idText, account, call)
      if let earlier = state.media[id]?.segments[segment] {
        guard earlier == bytes else {
          throw .invalid("This segment came before with other bytes.", parameter: "segment_index", values: [text])
        }
        state.media[id]?.traffic.repeatedParts += 1
      }
      state.media[id]?.segments[segment] = bytes
      state.media[id]?.traffic.parts += 1
      state.media[id]?.traffic.bytes += bytes.count
      return state.media[id]?.expiresAt ?? call.now
    }
    return .json(JSONWriter.object { $0.object("data") { $0.member("expires_at", expiresAt / 1000) } })
  }

  func finalizeUpload(_ idText: String, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    let media = try locked { (state) throws(XProblem) -> XMedia in
      let id = try state.openMedia(idText, account, call)
      guard var media = state.media[id] else { throw .notFound }
      var whole: [UInt8] = []
      for segment in 0..<media.segments.count {
        guard let bytes = media.segments[segment] else {
          throw .invalid("Segments do not add up to provided total file size.", parameter: "segment_index")
        }
        whole += bytes
      }
      guard whole.count == media.declaredBytes else {
        throw .invalid(
          "Segments do not add up to provided total file size.",
          parameter: "total_bytes",
          values: [String(whole.count)]
        )
      }
      let format = MediaFormat(whole)
      media.segments = [:]
      media.bytes = whole
      media.expiresAt = call.now + Int64(call.settings.mediaExpirySeconds) * 1000
      var failure: XMedia.Failure?
      if format?.kind != media.kind {
        failure = .format
      } else if media.kind == .video {
        media.durationSeconds = MediaFormat.duration(ofMP4: whole)
        if let seconds = media.durationSeconds, seconds < Self.shortestVideo { failure = .duration }
      }
      let time = media.kind == .image ? 0 : Int64(call.settings.mediaProcessingMs)
      media.progress =
        time == 0 && failure == nil ? .ready : .processing(since: call.now, until: call.now + time, failure: failure)
      state.media[id] = media
      return media
    }
    return Self.describe(media, call)
  }

  func showUpload(_ request: HTTPRequest, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    let query = try Self.query(request, known: ["command", "media_id"])
    guard query["command"] == "STATUS" else { throw .invalid("command must be STATUS", parameter: "command") }
    let media = try locked { (state) throws(XProblem) in
      guard
        let id = Self.id(query["media_id"] ?? ""), let media = state.media[id], media.account == account,
        media.expiresAt > call.now
      else {
        throw .invalid("Your media IDs are invalid.", parameter: "media_id", values: [query["media_id"] ?? ""])
      }
      state.media[id]?.traffic.statusChecks += 1
      return media
    }
    return Self.describe(media, call)
  }

  private static func describe(_ media: XMedia, _ call: XCall) -> HTTPResponse {
    let body = JSONWriter.object {
      $0.object("data") { data in
        data.member("id", String(media.id))
        data.member("media_key", media.key)
        data.member("size", media.bytes.count)
        data.member("expires_after_secs", max(0, (media.expiresAt - call.now) / 1000))
        switch media.progress {
        case .ready: break
        case .open:
          data.object("processing_info") {
            $0.member("state", "pending")
            $0.member("check_after_secs", 1)
          }
        case .processing(let since, let until, let failure):
          data.object("processing_info") { info in
            info.member("state", media.state(at: call.now))
            guard until <= call.now else {
              info.member("check_after_secs", (until - call.now + 999) / 1000)
              info.member("progress_percent", Int((call.now - since) * 100 / (until - since)))
              return
            }
            guard let failure else { return info.member("progress_percent", 100) }
            info.object("error") {
              $0.member("code", 1)
              $0.member("name", "InvalidMedia")
              $0.member("message", failure.message)
            }
          }
        }
      }
    }
    return .json(body)
  }

  // MARK: Alt text

  func describeMedia(_ request: HTTPRequest, _ account: Int, _ call: XCall) throws(XProblem) -> HTTPResponse {
    var id: Int64?
    var alt: String?
    for member in try Self.object(in: request) {
      switch member.name {
      case "id": id = try XPostDraft.identifier(member.value, "id")
      case "metadata":
        for inner in try XPostDraft.object(member.value, "metadata") {
          guard inner.name == "alt_text" else { throw .unknownField("metadata.\(inner.name)") }
          for leaf in try XPostDraft.object(inner.value, "metadata.alt_text") {
            guard leaf.name == "text" else { throw .unknownField("metadata.alt_text.\(leaf.name)") }
            alt = try XPostDraft.string(leaf.value, "metadata.alt_text.text")
          }
        }
      default: throw .unknownField(member.name)
      }
    }
    guard let id, let alt else { throw .invalid("id and metadata.alt_text.text are required") }
    guard !alt.isEmpty, alt.unicodeScalars.count <= 1000 else {
      throw .invalid(
        "$.metadata.alt_text.text: must be 1 to 1000 characters long",
        parameter: "metadata.alt_text.text",
        values: [String(alt.unicodeScalars.count)]
      )
    }
    try locked { (state) throws(XProblem) in
      guard let media = state.media[id], media.account == account, media.expiresAt > call.now, media.kind != .video
      else { throw .invalid("Your media IDs are invalid.", parameter: "id", values: [String(id)]) }
      try state.charge(account, XEndpoint.metadata.price)
      state.media[id]?.altText = alt
      state.media[id]?.traffic.descriptions += 1
    }
    let body = JSONWriter.object {
      $0.object("data") { data in
        data.member("id", String(id))
        data.object("associated_metadata") { $0.object("alt_text") { $0.member("text", alt) } }
      }
    }
    return .json(body)
  }
}

extension XState {
  /// The id of media that still takes parts from this account.
  fileprivate func openMedia(_ text: String, _ account: Int, _ call: XCall) throws(XProblem) -> Int64 {
    guard let id = XPlatform.id(text), let media = media[id], media.account == account, media.expiresAt > call.now,
      case .open = media.progress
    else { throw .invalid("Your media IDs are invalid.", parameter: "id", values: [text]) }
    return id
  }
}

/// The fields of an upload, from multipart or from JSON with base64.
private struct UploadForm {
  private var texts: [String: String] = [:]
  private var bytes: [UInt8]?

  init(_ request: HTTPRequest, known: [String]) throws(XProblem) {
    if request.mediaType == "multipart/form-data" {
      guard let parts = Multipart.parts(of: request) else { throw .invalid("The multipart body is not well-formed") }
      for part in parts {
        guard known.contains(part.name) else { throw .unknownField(part.name) }
        if part.name == "media" {
          bytes = part.bytes
        } else {
          texts[part.name] = String(decoding: part.bytes, as: UTF8.self)
        }
      }
      return
    }
    for member in try XPlatform.object(in: request) {
      guard known.contains(member.name) else { throw .unknownField(member.name) }
      switch (member.name, member.value) {
      case ("media", .string(let text)):
        guard let decoded = Base64.decode(text) else { throw .invalid("media is not base64", parameter: "media") }
        bytes = decoded
      case (_, .string(let text)), (_, .number(let text)): texts[member.name] = text
      case ("shared", .bool), ("additional_owners", .array): break
      default: throw XPostDraft.wrongType(member.value, member.name, "string")
      }
    }
  }

  func text(_ name: String) -> String? { texts[name] }

  func media() throws(XProblem) -> [UInt8] {
    guard let bytes, !bytes.isEmpty else { throw .invalid("media is missing", parameter: "media") }
    return bytes
  }
}
