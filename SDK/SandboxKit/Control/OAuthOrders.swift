/// An account of a platform with an OAuth server as the control interface orders it.
struct OAuthAccountOrder: Sendable {
  let platform: Platform
  let account: OAuthAccount
  /// A token that needs no consent.
  var token: String?
  var tokenSeconds: Int?

  static func isUsername(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
      }
  }

  /// An account with what its platform usually has.
  init(platform: Platform, username: String, token: String? = nil) {
    self.platform = platform
    self.token = token
    account = OAuthAccount(
      id: OAuthAccount.makeID("\(platform.rawValue)/\(username)"),
      username: username,
      name: username,
      kind: platform == .instagram ? "BUSINESS" : nil
    )
  }

  init(_ reader: inout ObjectReader, platform: Platform) throws(ControlError) {
    self.platform = platform
    let username = try reader.requiredString("username")
    guard Self.isUsername(username) else {
      throw ControlError("\(reader.path("username")) must be 1 to 64 letters, digits, - _ and .")
    }
    var account = OAuthAccountOrder(platform: platform, username: username).account
    account.name = try reader.string("name") ?? username
    if platform == .instagram { account.kind = try reader.string("kind") ?? account.kind }
    if let (name, roles) = Self.places[platform] {
      for (index, value) in (try reader.array(name) ?? []).enumerated() {
        var inner = try ObjectReader(value, at: "\(reader.path(name))[\(index)]")
        account.places.append(try Self.place(&inner, platform, roles))
      }
    }
    self.account = account
    token = try reader.string("token")
    if let token, token.isEmpty || !token.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) {
      throw ControlError("\(reader.path("token")) must be visible ASCII")
    }
    tokenSeconds = try reader.integer("expiresInSeconds", in: 0...1_000_000_000)
    try reader.finish()
  }

  /// What accounts work for, by platform: the name of the list, and the roles of somebody who may do everything.
  private static let places: [Platform: (name: String, roles: [String])] = [
    .facebook: ("pages", ["ANALYZE", "ADVERTISE", "MESSAGING", "MODERATE", "CREATE_CONTENT", "MANAGE"]),
    .linkedin: ("organizations", ["ADMINISTRATOR"]),
  ]

  private static func place(
    _ reader: inout ObjectReader,
    _ platform: Platform,
    _ usual: [String]
  ) throws(ControlError) -> OAuthAccount.Place {
    let handle = try reader.requiredString("username")
    guard isUsername(handle) else {
      throw ControlError("\(reader.path("username")) must be 1 to 64 letters, digits, - _ and .")
    }
    let name = try reader.string("name") ?? handle
    var roles = usual
    if let values = try reader.array("roles") {
      roles = values.compactMap(\.string)
      guard roles.count == values.count else { throw ControlError("\(reader.path("roles")) must be a list of texts") }
    }
    try reader.finish()
    let id = OAuthAccount.makeID("\(platform.rawValue)/place/\(handle)")
    return OAuthAccount.Place(id: id, handle: handle, name: name, roles: roles)
  }
}

extension OAuthApp {
  /// An app as it is ordered; what is not said stays as it was, or is that of the demo app.
  init(_ reader: inout ObjectReader, platform: Platform, known: [OAuthApp]) throws(ControlError) {
    clientID = try reader.string("clientId") ?? "demo-\(platform.rawValue)"
    let id = clientID
    let old = known.first { $0.clientID == id }
    guard !id.isEmpty, id.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ":") }) else {
      throw ControlError("\(reader.path("clientId")) must be visible ASCII without a colon")
    }
    name = try reader.string("name") ?? old?.name ?? id
    secret = try reader.string("secret") ?? old?.secret ?? "secret-of-\(id)"
    if try reader.bool("public") == true {
      guard platform == .x else { throw ControlError("only x has public apps") }
      secret = nil
    }
    isApproved = try reader.bool("approved") ?? old?.isApproved ?? true
    redirectAddresses = old?.redirectAddresses ?? []
    if let values = try reader.array("redirectAddresses") {
      redirectAddresses = values.compactMap(\.string)
      guard redirectAddresses.count == values.count else {
        throw ControlError("\(reader.path("redirectAddresses")) must be a list of texts")
      }
    }
    try reader.finish()
  }
}

extension OAuthBehavior {
  /// The behaviour with the members of an order in place of the present ones.
  func changed(by reader: inout ObjectReader, rules: OAuthRules) throws(ControlError) -> OAuthBehavior {
    var behavior = self
    if let text = try reader.string("consent") {
      guard let consent = Consent(rawValue: text) else {
        throw ControlError("\(reader.path("consent")) must be one of ask, allow, deny")
      }
      behavior.consent = consent
    }
    if let account = try reader.string("consentAccount") { behavior.consentAccount = account }
    if let text = try reader.string("rotation") {
      guard let rotation = OAuthRules.Rotation(rawValue: text) else {
        throw ControlError("\(reader.path("rotation")) must be one of strict, grace, none")
      }
      behavior.rotation = rotation
    }
    if let values = try reader.array("withheldScopes") {
      behavior.withheldScopes = Set(values.compactMap(\.string))
      for scope in behavior.withheldScopes where !rules.scopes.contains(scope) {
        throw ControlError("\(reader.path("withheldScopes")): \(scope) is no scope of \(rules.title)")
      }
    }
    let range = 0...1_000_000_000
    if let seconds = try reader.integer("graceSeconds", in: range) { behavior.graceSeconds = seconds }
    if let seconds = try reader.integer("codeSeconds", in: range) { behavior.codeSeconds = seconds }
    if let seconds = try reader.integer("accessSeconds", in: range) { behavior.accessSeconds = seconds }
    if let seconds = try reader.integer("longSeconds", in: range) { behavior.longSeconds = seconds }
    if let seconds = try reader.integer("refreshSeconds", in: range) { behavior.refreshSeconds = seconds }
    try reader.finish()
    return behavior
  }
}
