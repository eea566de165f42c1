/// Rights of an access token.
struct XScopes: OptionSet, Sendable {
  let rawValue: UInt16

  static let names = [
    "tweet.read", "tweet.write", "users.read", "media.write", "offline.access", "like.read", "like.write",
    "follows.read", "follows.write", "tweet.moderate.write", "space.read", "mute.read", "bookmark.read",
  ]
  static let readPosts = XScopes(rawValue: 1)
  static let writePosts = XScopes(rawValue: 2)
  static let readUsers = XScopes(rawValue: 4)
  static let writeMedia = XScopes(rawValue: 8)
  static let all = XScopes(rawValue: 0x1FFF)

  static func named(_ name: String) -> XScopes? {
    names.firstIndex(of: name).map { XScopes(rawValue: 1 << UInt16($0)) }
  }
}

/// One access token; its text is only a key of a table and never leaves it.
struct XToken: Sendable {
  enum Kind: Sendable {
    case user
    /// App-only: no user stands behind it.
    case app
  }

  var account: Int
  var kind: Kind
  var scopes: XScopes
  /// Milliseconds since 1970.
  var expiresAt: Int64?
}

/// A simulated account of the platform X.
struct XAccount: Sendable {
  enum Subscription: String, Sendable, CaseIterable {
    case none = "None"
    case basic = "Basic"
    case premium = "Premium"
    case premiumPlus = "PremiumPlus"

    var textLimit: Int { self == .none || self == .basic ? 280 : 25_000 }
    var videoBytes: Int { self == .none || self == .basic ? 8_589_934_592 : 17_179_869_184 }
    /// The longest video in minutes.
    var videoMinutes: Int { self == .none || self == .basic ? 20 : 125 }
  }

  let id: Int64
  var username: String
  var name: String
  var subscription = Subscription.none
  /// Millionths of a dollar; `nil` is without end.
  var credits: Int64?
  var isSuspended = false
  /// Places in the list of posts, oldest first.
  var posts: [Int] = []
  /// The latest post with each text.
  var texts: [String: Int] = [:]
  var windows = [XWindow](repeating: XWindow(), count: XEndpoint.allCases.count)
  var dayWindow = XWindow()
}

/// A published post.
struct XPost: Sendable {
  let id: Int64
  let account: Int
  /// As the client sent it, in NFC.
  let text: String
  /// As the platform shows it: with short links, and `&`, `<` and `>` escaped.
  let shownText: String
  let links: [XShownLink]
  let media: [Int64]
  let replyTo: Int64?
  let mentions: Set<String>
  let poll: [String]
  /// Longer than an ordinary account may write: readers get the beginning, and the whole in `note_tweet`.
  let isLong: Bool
  let at: Int64
  let visibleAt: Int64
  var deletedAt: Int64?
}

/// A link as the platform shows it.
struct XShownLink: Sendable {
  /// Places of Unicode scalars in the shown text.
  let start: Int
  let end: Int
  let url: String
  let expanded: String
  let display: String
  let mediaKey: String?
}

/// Uploaded media.
struct XMedia: Sendable {
  enum Kind: Sendable {
    case image
    case gif
    case video
  }

  enum Progress: Sendable {
    /// Parts are still coming.
    case open
    case ready
    /// Ready at that time, or found to be unusable.
    case processing(since: Int64, until: Int64, failure: Failure?)
  }

  /// Why the platform can not use a file.
  enum Failure: Sendable {
    case format
    case duration

    var message: String {
      switch self {
      case .format: "Unsupported media format"
      case .duration: "Duration too short, minimum:500, actual:0"
      }
    }
  }

  /// What came in, for the ledger.
  struct Traffic: Sendable {
    /// Parts that were taken, repeated ones included.
    var parts = 0
    /// Parts that were taken a second time.
    var repeatedParts = 0
    /// Bytes of all parts, repeated ones included.
    var bytes = 0
    var statusChecks = 0
    var descriptions = 0
  }

  let id: Int64
  let account: Int
  var type: String
  var kind: Kind
  var bytes: [UInt8]
  var progress: Progress
  var declaredBytes: Int
  var segments: [Int: [UInt8]] = [:]
  var expiresAt: Int64
  let category: String
  let at: Int64
  var traffic = Traffic()
  var altText: String?
  /// Of a video, read from its header.
  var durationSeconds: Double?

  func isReady(at now: Int64) -> Bool {
    switch progress {
    case .open: false
    case .ready: true
    case .processing(_, let until, let failure): until <= now && failure == nil
    }
  }

  /// The platform's word for how far it is.
  func state(at now: Int64) -> String {
    switch progress {
    case .open: return "open"
    case .ready: return "succeeded"
    case .processing(let since, let until, let failure):
      if until <= now { return failure == nil ? "succeeded" : "failed" }
      return now - since < (until - since) / 2 ? "pending" : "in_progress"
    }
  }

  var key: String { kind == .image ? "3_\(id)" : kind == .gif ? "16_\(id)" : "13_\(id)" }
}
