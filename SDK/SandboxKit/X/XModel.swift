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
    /// Ready at that time.
    case processing(until: Int64)
    case failed
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
  var altText: String?
  /// Of a video, read from its header.
  var durationSeconds: Double?

  var key: String { kind == .image ? "3_\(id)" : kind == .gif ? "16_\(id)" : "13_\(id)" }
}
