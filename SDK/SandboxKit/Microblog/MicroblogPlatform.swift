/// A small platform that exists nowhere else: pictures first, then the note that shows them.
///
/// Its contract stands in docs/guides/sandbox.md; what is not in it is refused.
final class MicroblogPlatform: Sendable {
  static let maximumText = 300
  static let maximumPictures = 4
  static let maximumPictureBytes = 2 * 1_048_576
  static let maximumAlt = 500
  static let notesPerMinute = 60
  private static let prefix = "/microblog/v1/"

  let state = Guarded(MicroblogState())

  static func takes(_ request: HTTPRequest) -> Bool { request.path.hasPrefix(prefix) }

  func username(of request: HTTPRequest) -> String? {
    guard let token = Self.token(request) else { return nil }
    return state.withLock { state in state.accountByToken[token].map { state.accounts[$0].username } }
  }

  /// Answers one request.
  ///
  /// - Parameter listLag: milliseconds that a new note stays out of its author's list.
  func answer(
    _ request: HTTPRequest,
    now: Int64,
    settings: SandboxSettings,
    listLag: Int,
    origin: String
  ) -> HTTPResponse {
    do throws(MicroblogProblem) {
      guard let token = Self.token(request), let account = state.withLock({ $0.accountByToken[token] }) else {
        throw .unauthorized
      }
      let parts = request.path.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
      switch (request.method, parts.first, parts.count) {
      case ("GET", "me", 1): return showMe(account)
      case ("POST", "pictures", 1): return try upload(request, account, now)
      case ("POST", "notes", 1): return try publish(request, account, now, settings, listLag, origin)
      case ("GET", "notes", 1): return try list(request, account, now, origin)
      case ("DELETE", "notes", 2): return try delete(String(parts[1]), account, now)
      default: throw .notFound
      }
    } catch {
      return error.response
    }
  }

  private static func token(_ request: HTTPRequest) -> String? {
    guard let value = request.header("authorization"), value.hasPrefix("Bearer ") else { return nil }
    return String(value.dropFirst(7))
  }

  private func showMe(_ account: Int) -> HTTPResponse {
    let found = state.withLock { $0.accounts[account] }
    return .json(
      JSONWriter.object {
        $0.member("id", "u-\(account + 1)")
        $0.member("username", found.username)
        $0.member("name", found.name)
      }
    )
  }

  // MARK: Pictures

  private func upload(_ request: HTTPRequest, _ account: Int, _ now: Int64) throws(MicroblogProblem) -> HTTPResponse {
    guard request.body.count <= Self.maximumPictureBytes else {
      throw MicroblogProblem(status: 413, code: "too_large", message: "a picture has at most 2 MiB")
    }
    guard let format = MediaFormat(request.body), ["image/png", "image/jpeg"].contains(format.rawValue) else {
      throw MicroblogProblem(status: 415, code: "not_a_picture", message: "the bytes are neither PNG nor JPEG")
    }
    guard request.mediaType == format.rawValue else {
      throw MicroblogProblem(status: 415, code: "wrong_type", message: "content-type must be \(format.rawValue)")
    }
    let id = state.withLock { state in
      let id = state.nextPicture()
      state.pictures[id] = MicroblogPicture(id: id, account: account, bytes: request.body, at: now)
      return id
    }
    return .json(201, JSONWriter.object { $0.member("id", id) })
  }

  // MARK: Notes

  private struct Draft {
    var text = ""
    var pictures: [(id: String, alt: String)] = []

    init(_ request: HTTPRequest) throws(MicroblogProblem) {
      guard request.mediaType == "application/json" else {
        throw MicroblogProblem(status: 415, code: "wrong_type", message: "content-type must be application/json")
      }
      guard let json = try? JSONParser.parse(request.body), let members = json.members else {
        throw MicroblogProblem(status: 400, code: "not_json", message: "the body must be a JSON object")
      }
      for member in members where !["text", "pictures"].contains(member.name) {
        throw .invalid(member.name, "the field is not known")
      }
      guard let text = json["text"]?.string else { throw .invalid("text", "must be a text") }
      self.text = text
      for (index, picture) in (json["pictures"]?.array ?? []).enumerated() {
        guard let id = picture["id"]?.string else { throw .invalid("pictures[\(index)].id", "must be a text") }
        let alt = picture["alt"]?.string ?? ""
        guard alt.unicodeScalars.count <= MicroblogPlatform.maximumAlt else {
          throw .invalid("pictures[\(index)].alt", "has more than \(MicroblogPlatform.maximumAlt) characters")
        }
        pictures.append((id, alt))
      }
    }
  }

  private func publish(
    _ request: HTTPRequest,
    _ account: Int,
    _ now: Int64,
    _ settings: SandboxSettings,
    _ listLag: Int,
    _ origin: String
  ) throws(MicroblogProblem) -> HTTPResponse {
    let draft = try Draft(request)
    let length = draft.text.unicodeScalars.count
    guard length <= Self.maximumText else {
      throw .invalid("text", "has \(length) characters, at most \(Self.maximumText) are allowed")
    }
    guard draft.text.contains(where: { !$0.isWhitespace }) || !draft.pictures.isEmpty else {
      throw .invalid("text", "a note needs a text or a picture")
    }
    guard draft.pictures.count <= Self.maximumPictures else {
      throw .invalid("pictures", "at most \(Self.maximumPictures) are allowed")
    }
    let limit = settings.rateLimits ? Self.notesPerMinute : .max
    let result = state.withLock { state -> Result<MicroblogNote, MicroblogProblem> in
      for (index, picture) in draft.pictures.enumerated() {
        guard let known = state.pictures[picture.id], known.account == account else {
          return .failure(.invalid("pictures[\(index)].id", "there is no such picture"))
        }
        guard known.note == nil else {
          let message = "\(picture.id) belongs to another note"
          return .failure(MicroblogProblem(status: 409, code: "picture_used", message: message))
        }
      }
      guard state.takePlace(account, limit: limit, now: now) else {
        let message = "at most \(Self.notesPerMinute) notes a minute"
        return .failure(MicroblogProblem(status: 429, code: "slow_down", message: message, retryAfter: 60))
      }
      let id = state.nextNote()
      for picture in draft.pictures {
        state.pictures[picture.id]?.note = id
        state.pictures[picture.id]?.alt = picture.alt
      }
      let note = MicroblogNote(
        id: id,
        account: account,
        text: draft.text,
        pictures: draft.pictures.map(\.id),
        at: now,
        listedAt: now + Int64(listLag)
      )
      state.notes.append(note)
      return .success(note)
    }
    let note = try result.get()
    return .json(201, JSONWriter.object { write(note, origin, &$0) })
  }

  private func write(_ note: MicroblogNote, _ origin: String, _ writer: inout JSONWriter) {
    writer.member("id", String(note.id))
    writer.member("text", note.text)
    writer.member("url", page(note, origin))
    writer.member("createdAt", CivilTime(milliseconds: note.at).iso)
    writer.member("pictures", note.pictures.count)
  }

  /// The address of a note for readers.
  func page(_ note: MicroblogNote, _ origin: String) -> String {
    let username = state.withLock { $0.accounts[note.account].username }
    return "\(origin)/notes/\(username)/\(note.id)"
  }

  /// The newest notes first; `more` says whether older ones within `since` were left out.
  private func list(
    _ request: HTTPRequest,
    _ account: Int,
    _ now: Int64,
    _ origin: String
  ) throws(MicroblogProblem) -> HTTPResponse {
    var since: Int64 = .min
    var limit = 50
    guard let items = request.queryItems() else { throw .invalid("query", "cannot be read") }
    for item in items {
      switch item.name {
      case "since":
        guard let time = CivilTime.milliseconds(iso: item.value) else {
          throw .invalid("since", "must be a time such as 2026-01-02T03:04:05Z")
        }
        since = time
      case "limit":
        guard let number = Int(item.value), (1...200).contains(number) else {
          throw .invalid("limit", "must be a number from 1 to 200")
        }
        limit = number
      default: throw .invalid(item.name, "the key is not known")
      }
    }
    let (earliest, most) = (since, limit)
    let notes = state.withLock { state in
      state.notes.filter {
        $0.account == account && $0.deletedAt == nil && $0.at >= earliest && $0.listedAt <= now
      }
    }
    let body = JSONWriter.object { writer in
      writer.array("notes") { list in
        for note in notes.suffix(most).reversed() { list.object { write(note, origin, &$0) } }
      }
      writer.member("more", notes.count > most)
    }
    return .json(body)
  }

  private func delete(_ text: String, _ account: Int, _ now: Int64) throws(MicroblogProblem) -> HTTPResponse {
    let isDeleted = state.withLock { state in
      guard let id = Int64(text),
        let index = state.notes.firstIndex(where: { $0.id == id && $0.account == account && $0.deletedAt == nil })
      else { return false }
      state.notes[index].deletedAt = now
      return true
    }
    guard isDeleted else { throw .notFound }
    return HTTPResponse(status: 204)
  }
}
