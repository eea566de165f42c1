import PluginKit

/// Brings the files of a post to the platform, before anything of the post is public.
///
/// Pictures go in one request. GIFs and videos go in parts, and the platform then works on them: the call ends while it
/// does, and comes again. Every request is a step, so what was uploaded is never uploaded a second time.
package struct MediaUpload {
  /// Bytes of a part. The platform refuses parts of 5 MB and more.
  package static let partBytes: Int64 = 4 << 20
  /// The platform numbers parts from 0 to 999.
  static let maximumParts = 1_000
  /// Parts sent in one call, so that a long upload outlives neither the call's time nor its number of requests.
  private static let partsPerCall = 24
  /// Bounds of the platform's own word for when to look again, in seconds.
  private static let checkAfter: ClosedRange<Int64> = 1...600

  private let job: JobContext
  private var sentParts = 0

  init(_ job: JobContext) {
    self.job = job
  }

  /// Uploads the files of all posts and waits until each can be used.
  ///
  /// - Parameter posts: The files of each post of a thread.
  /// - Returns: The platform's ids, in the same shape.
  mutating func run(_ posts: [[MediaItem]]) async throws -> [[String]] {
    var uploads: [[Upload]] = []
    for (post, media) in posts.enumerated() {
      var row: [Upload] = []
      for (index, item) in media.enumerated() {
        let name = post == 0 ? "\(index + 1)" : "p\(post + 1)-\(index + 1)"
        row.append(try await upload(item, name))
      }
      uploads.append(row)
    }
    for upload in uploads.joined() where upload.needsCheck { try await check(upload) }
    for upload in uploads.joined() { try await describe(upload) }
    return uploads.map { $0.map(\.id) }
  }

  /// A file that is at the platform, ready or not.
  private struct Upload {
    let item: MediaItem
    let name: String
    let id: String
    var needsCheck = false
  }

  private mutating func upload(_ item: MediaItem, _ name: String) async throws -> Upload {
    switch MediaRules.Kind(item.type) {
    case .image, nil: try await whole(item, name)
    case .animation: try await inParts(item, name, category: "tweet_gif")
    case .video: try await inParts(item, name, category: "tweet_video")
    }
  }

  private func whole(_ item: MediaItem, _ name: String) async throws -> Upload {
    let answer = try await job.http(
      rule: "uploadMedia",
      step: "upload-\(name)",
      body: .multipart([
        .media("media", item), .text("media_category", "tweet_image"), .text("media_type", item.type),
      ])
    )
    guard answer.isSuccess, let id = XPlatform.id(in: answer) else { throw AnswerErrors.error(answer, .media) }
    return Upload(item: item, name: name, id: id)
  }

  // MARK: In parts

  private mutating func inParts(_ item: MediaItem, _ name: String, category: String) async throws -> Upload {
    let start = try await job.http(
      rule: "initializeUpload",
      step: "initialize-\(name)",
      json: [
        "media_category": .string(category), "media_type": .string(item.type), "total_bytes": .int(item.bytes),
      ]
    )
    guard start.isSuccess, let id = XPlatform.id(in: start) else { throw AnswerErrors.error(start, .media) }
    var steps = ["initialize-\(name)"]
    for part in 0..<Self.parts(of: item.bytes) {
      steps.append("append-\(name)-\(part)")
      try await append(part, of: item, to: id, steps: steps)
    }
    var upload = Upload(item: item, name: name, id: id)
    upload.needsCheck = try await finalize(upload)
    return upload
  }

  package static func parts(of bytes: Int64) -> Int {
    Int((max(bytes, 1) - 1) / partBytes) + 1
  }

  private mutating func append(_ part: Int, of item: MediaItem, to id: String, steps: [String]) async throws {
    let first = Int64(part) * Self.partBytes
    let range = first...min(first + Self.partBytes, item.bytes) - 1
    if sentParts == Self.partsPerCall {
      try await job.wait(for: .zero, why: "The upload of \(item.filename ?? "a file") goes on.")
    }
    let answer = try await job.http(
      rule: "appendUpload",
      step: steps[steps.count - 1],
      path: ["id": id],
      body: .multipart([
        MultipartPart(
          name: "media",
          content: .media(handle: item.handle, range: range),
          filename: item.filename,
          type: "application/octet-stream"
        ), .text("segment_index", "\(part)"),
      ])
    )
    if !answer.isReplayed { sentParts += 1 }
    guard !answer.isSuccess else { return }
    if AnswerErrors.saysUnknownMedia(answer) {
      // The platform has forgotten what was begun, so it begins anew.
      throw PlatformError(.prepareExpired, "X has forgotten the upload; it is done again.", steps: steps)
    }
    throw AnswerErrors.error(answer, .media)
  }

  /// Ends an upload; true if the platform has to be asked whether the file can be used.
  private func finalize(_ upload: Upload) async throws -> Bool {
    let answer = try await job.http(
      rule: "finalizeUpload",
      step: "finalize-\(upload.name)",
      path: ["id": upload.id]
    )
    if answer.isSuccess { return try Processing(answer).state != .ready }
    // An earlier request whose answer was lost may have ended it already; the status tells.
    guard AnswerErrors.saysUnknownMedia(answer), try await status(of: upload).isSuccess else {
      throw AnswerErrors.error(answer, .media)
    }
    return true
  }

  // MARK: At the platform

  private func status(of upload: Upload) async throws(PlatformError) -> HTTPAnswer {
    try await job.http(
      rule: "uploadStatus",
      step: "status-\(upload.name)",
      query: ["command": "STATUS", "media_id": upload.id]
    )
  }

  /// Returns when the file can be used; ends the call while the platform is at work.
  private func check(_ upload: Upload) async throws {
    let answer = try await status(of: upload)
    guard answer.isSuccess else { throw AnswerErrors.error(answer, .media) }
    let processing = try Processing(answer)
    switch processing.state {
    case .ready: return
    case .failed:
      throw PlatformError(
        .mediaRejected,
        "X could not use the file: \(processing.message ?? "it did not say why").",
        field: "media"
      )
    case .working:
      let seconds = min(max(processing.checkAfter, Self.checkAfter.lowerBound), Self.checkAfter.upperBound)
      try await job.wait(for: .seconds(seconds), why: "X is processing \(upload.item.filename ?? "a file").")
    }
  }

  /// What the platform says of a file it was given.
  private struct Processing {
    enum State {
      case ready
      case working
      case failed
    }

    let state: State
    let checkAfter: Int64
    let message: String?

    init(_ answer: HTTPAnswer) throws {
      guard let info = try answer.json?.pointer("/data/processing_info")?.object() else {
        (state, checkAfter, message) = (.ready, 0, nil)
        return
      }
      switch try info.string("state") {
      case "succeeded": state = .ready
      case "failed": state = .failed
      default: state = .working
      }
      checkAfter = try info.optionalInt64("check_after_secs") ?? 0
      let error = try info.optionalObject("error")
      message = try error?.optionalString("message") ?? error?.optionalString("name")
    }
  }

  private func describe(_ upload: Upload) async throws {
    guard let alt = upload.item.alt, !alt.isEmpty, MediaRules.Kind(upload.item.type) != .video else { return }
    let answer = try await job.http(
      rule: "describeMedia",
      step: "describe-\(upload.name)",
      json: ["id": .string(upload.id), "metadata": ["alt_text": ["text": .string(alt)]]]
    )
    guard answer.isSuccess else { throw AnswerErrors.error(answer, .media) }
  }
}
