/// One account of the platform Microblog.
struct MicroblogAccount: Sendable {
  let username: String
  var name: String
  var tokens: Set<String> = []
  /// Times of the notes of the last minute, for the rate limit.
  var recent: [Int64] = []
}

/// A picture that was uploaded.
struct MicroblogPicture: Sendable {
  let id: String
  let account: Int
  let bytes: [UInt8]
  let at: Int64
  var note: Int64?
  var alt = ""
}

/// A note that was published.
struct MicroblogNote: Sendable {
  let id: Int64
  let account: Int
  let text: String
  let pictures: [String]
  let at: Int64
  /// It stays out of its author's list until then.
  let listedAt: Int64
  var deletedAt: Int64?
}

/// Everything the platform keeps.
struct MicroblogState: Sendable {
  private(set) var accounts: [MicroblogAccount] = []
  private(set) var accountByToken: [String: Int] = [:]
  var pictures: [String: MicroblogPicture] = [:]
  var notes: [MicroblogNote] = []
  private var lastPicture = 0
  private var lastNote: Int64 = 0

  /// Makes an account, or gives a known one a token.
  mutating func setAccount(_ order: MicroblogAccountOrder) {
    var index = accounts.firstIndex { $0.username == order.username } ?? accounts.count
    if index == accounts.count {
      accounts.append(MicroblogAccount(username: order.username, name: order.username))
      index = accounts.count - 1
    }
    if let name = order.name { accounts[index].name = name }
    if let token = order.token {
      for old in accounts[index].tokens { accountByToken[old] = nil }
      accounts[index].tokens = [token]
      accountByToken[token] = index
    }
  }

  mutating func removePosts() {
    pictures = [:]
    notes = []
    for index in accounts.indices { accounts[index].recent = [] }
  }

  mutating func nextPicture() -> String {
    lastPicture += 1
    return "pic-\(lastPicture)"
  }

  mutating func nextNote() -> Int64 {
    lastNote += 1
    return lastNote
  }

  /// Counts a note against the account's minute; false if it holds `limit` already.
  mutating func takePlace(_ account: Int, limit: Int, now: Int64) -> Bool {
    accounts[account].recent.removeAll { $0 <= now - 60_000 }
    guard accounts[account].recent.count < limit else { return false }
    accounts[account].recent.append(now)
    return true
  }
}

/// What the control interface says about an account.
struct MicroblogAccountOrder: Sendable {
  var username: String
  var name: String?
  var token: String?

  static func isUsername(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count)
      && text.utf8.allSatisfy { ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == 45 || $0 == 95 }
  }
}

extension MicroblogAccountOrder {
  init(_ reader: inout ObjectReader) throws(ControlError) {
    username = try reader.requiredString("username")
    guard Self.isUsername(username) else {
      throw ControlError("\(reader.path("username")) must be 1 to 32 small letters, digits, - and _")
    }
    name = try reader.string("name")
    token = try reader.string("token")
    if let token, token.isEmpty || !token.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) {
      throw ControlError("\(reader.path("token")) must be visible ASCII")
    }
    try reader.finish()
  }
}
