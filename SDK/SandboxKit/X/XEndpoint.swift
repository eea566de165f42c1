/// The routes of the platform X with what they need.
enum XEndpoint: Int, CaseIterable, Sendable {
  case createPost
  case deletePost
  case me
  case posts
  case timeline
  case upload
  case initializeUpload
  case appendUpload
  case finalizeUpload
  case uploadStatus
  case metadata

  /// Requests of one user in the short window.
  var limit: Int {
    switch self {
    case .createPost: 100
    case .deletePost: 50
    case .me: 75
    case .posts: 5000
    case .timeline: 900
    case .upload, .metadata: 500
    case .initializeUpload, .appendUpload, .finalizeUpload: 1875
    case .uploadStatus: 1000
    }
  }

  var scopes: XScopes {
    switch self {
    case .createPost, .deletePost: [.readPosts, .writePosts, .readUsers]
    case .me, .posts, .timeline: [.readPosts, .readUsers]
    case .upload, .initializeUpload, .appendUpload, .finalizeUpload, .uploadStatus, .metadata: [.writeMedia]
    }
  }

  /// Public reads also work for an app without a user.
  var allowsAppToken: Bool { self == .posts || self == .timeline }

  /// The least that a call costs, in millionths of a dollar.
  var price: Int64 {
    switch self {
    case .createPost: 15_000
    case .deletePost, .me: 10_000
    case .metadata: 5000
    case .posts, .timeline: 1000
    case .upload, .initializeUpload, .appendUpload, .finalizeUpload, .uploadStatus: 0
    }
  }
}

/// A count of requests in a fixed window that starts with its first request.
struct XWindow: Sendable {
  private(set) var start: Int64 = 0
  private(set) var used = 0

  /// Counts one request; false when the window is used up.
  mutating func take(limit: Int, length: Int64, now: Int64) -> Bool {
    if now - start >= length {
      start = now
      used = 0
    }
    guard used < limit else { return false }
    used += 1
    return true
  }

  /// Unix seconds at which a new window starts, rounded up.
  func reset(length: Int64) -> Int64 { (start + length + 999) / 1000 }
}

/// What the headers of one answer tell about limits.
struct XRateStatus: Sendable {
  struct Part: Sendable {
    let prefix: String
    let limit: Int
    let remaining: Int
    let reset: Int64
  }

  var parts: [Part]
  var isExhausted = false

  func write(to response: inout HTTPResponse) {
    for part in parts {
      response.headers.append(.init(name: part.prefix + "-limit", value: String(part.limit)))
      response.headers.append(.init(name: part.prefix + "-remaining", value: String(part.remaining)))
      response.headers.append(.init(name: part.prefix + "-reset", value: String(part.reset)))
    }
  }
}
