/// Everything the platform X knows; a plain value under one lock.
struct XState: Sendable {
  var accounts: [XAccount] = []
  var accountByName: [String: Int] = [:]
  var accountByID: [Int64: Int] = [:]
  var tokens: [String: XToken] = [:]
  var posts: [XPost] = []
  var postByID: [Int64: Int] = [:]
  var media: [Int64: XMedia] = [:]
  /// The app's posts of a day: all accounts of a sandbox belong to one app.
  var appWindow = XWindow()
  private var lastID: Int64 = 0

  /// A new id that grows with time, as the platform's do.
  mutating func makeID(now: Int64) -> Int64 {
    // The platform counts milliseconds since 2010-11-04T01:42:54.657Z in the upper bits.
    lastID = max(lastID + 1, (now - 1_288_834_974_657) << 22)
    return lastID
  }

  // MARK: Access

  func username(of token: XToken?) -> String? {
    token.map { accounts[$0.account].username }
  }

  /// Decides whether a call may go on; counts it when its sender is known.
  mutating func authorize(
    _ token: XToken?,
    endpoint: XEndpoint,
    call: XCall
  ) -> (rate: XRateStatus, access: Result<XToken, XProblem>) {
    let settings = call.settings
    let limit = settings.rateLimits ? endpoint.limit * settings.rateLimitFactor : 1_000_000
    let length = Int64(settings.rateLimitWindowMs)
    guard let token, token.expiresAt.map({ $0 > call.now }) ?? true else {
      let part = XRateStatus.Part(
        prefix: "x-rate-limit",
        limit: limit,
        remaining: limit,
        reset: (call.now + length) / 1000
      )
      return (XRateStatus(parts: [part]), .failure(.unauthorized))
    }
    let rate = count(endpoint, token.account, limit: limit, length: length, call: call)
    if token.kind == .app && !endpoint.allowsAppToken { return (rate, .failure(.unsupportedAuthentication)) }
    if !token.scopes.isSuperset(of: endpoint.scopes) { return (rate, .failure(.notPermitted)) }
    if rate.isExhausted { return (rate, .failure(.tooManyRequests)) }
    let account = accounts[token.account]
    if account.isSuspended { return (rate, .failure(.notPermitted)) }
    if endpoint.price > 0, let credits = account.credits, credits <= 0 {
      return (rate, .failure(.creditsDepleted(account: String(account.id))))
    }
    return (rate, .success(token))
  }

  private mutating func count(
    _ endpoint: XEndpoint,
    _ account: Int,
    limit: Int,
    length: Int64,
    call: XCall
  ) -> XRateStatus {
    var rate = XRateStatus(parts: [])
    func add(_ prefix: String, _ window: inout XWindow, limit: Int, length: Int64) {
      let isOpen = window.take(limit: limit, length: length, now: call.now) || !call.settings.rateLimits
      if !isOpen { rate.isExhausted = true }
      let remaining = max(0, limit - window.used)
      rate.parts.append(.init(prefix: prefix, limit: limit, remaining: remaining, reset: window.reset(length: length)))
    }
    add("x-rate-limit", &accounts[account].windows[endpoint.rawValue], limit: limit, length: length)
    // Only an allowed request counts for the day.
    guard endpoint == .createPost, call.settings.rateLimits, !rate.isExhausted else { return rate }
    let day: Int64 = 86_400_000
    let factor = call.settings.rateLimitFactor
    add("x-user-limit-24hour", &accounts[account].dayWindow, limit: 2400 * factor, length: day)
    add("x-app-limit-24hour", &appWindow, limit: 10_000 * factor, length: day)
    return rate
  }

  /// Takes the price of a call from the account; throws 402 when too little is left.
  mutating func charge(_ account: Int, _ price: Int64) throws(XProblem) {
    guard let credits = accounts[account].credits else { return }
    guard credits >= price else { throw .creditsDepleted(account: String(accounts[account].id)) }
    accounts[account].credits = credits - price
  }

  /// Takes as much of a price as is left: what was read was read.
  mutating func chargeRead(_ account: Int, _ price: Int64) {
    if let credits = accounts[account].credits { accounts[account].credits = max(0, credits - price) }
  }

  // MARK: Accounts

  /// An id that depends on the name alone (FNV-1a), so that it is the same after a restart.
  private func makeAccountID(_ name: String) -> Int64 {
    let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    var id = Int64(hash % 900_000_000_000_000_000) + 100_000_000_000_000_000
    while accountByID[id] != nil { id += 1 }
    return id
  }

  mutating func setAccount(_ order: XAccountOrder, now: Int64) throws(ControlError) -> XAccount {
    let name = order.username.lowercased()
    for token in order.tokens {
      if let other = tokens[token.text], accounts[other.account].username.lowercased() != name {
        throw ControlError("a token of \(order.username) belongs to another account", status: 409)
      }
    }
    let index: Int
    if let known = accountByName[name] {
      index = known
      if !order.tokens.isEmpty { tokens = tokens.filter { $0.value.account != known } }
    } else {
      let account = XAccount(id: makeAccountID(name), username: order.username, name: order.username)
      index = accounts.count
      accounts.append(account)
      accountByName[name] = index
      accountByID[account.id] = index
    }
    accounts[index].username = order.username
    if let name = order.name { accounts[index].name = name }
    if let subscription = order.subscription { accounts[index].subscription = subscription }
    if let credits = order.credits { accounts[index].credits = credits }
    if let isSuspended = order.isSuspended { accounts[index].isSuspended = isSuspended }
    for token in order.tokens {
      tokens[token.text] = XToken(
        account: index,
        kind: token.kind,
        scopes: token.scopes,
        expiresAt: token.lifetimeMs.map { now + Int64($0) }
      )
    }
    return accounts[index]
  }

  /// Forgets what was published; accounts and tokens stay.
  mutating func removePosts() {
    posts = []
    postByID = [:]
    media = [:]
    appWindow = XWindow()
    for index in accounts.indices {
      accounts[index].posts = []
      accounts[index].texts = [:]
      accounts[index].windows = [XWindow](repeating: XWindow(), count: XEndpoint.allCases.count)
      accounts[index].dayWindow = XWindow()
    }
  }
}

/// An account as the control interface orders it.
struct XAccountOrder: Sendable {
  struct Token: Sendable {
    var text: String
    var kind = XToken.Kind.user
    var scopes = XScopes.all
    var lifetimeMs: Int?
  }

  var username: String
  var name: String?
  var subscription: XAccount.Subscription?
  /// Millionths of a dollar.
  var credits: Int64?
  var isSuspended: Bool?
  var tokens: [Token] = []

  static func isUsername(_ text: String) -> Bool {
    (1...15).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      }
  }
}

/// What surrounds one call: the time and the rules in force.
struct XCall: Sendable {
  let now: Int64
  let settings: SandboxSettings
  /// Milliseconds until a post of this call is in the timeline.
  let listLag: Int
}
