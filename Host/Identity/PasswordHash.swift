package import Cryptography

/// A stored password: scrypt with its costs and salt, as a PHC string such as `$scrypt$ln=17,r=8,p=1$salt$hash`.
package struct PasswordHash: Sendable, Equatable {
  package let parameters: Scrypt.Parameters
  private let salt: [UInt8]
  private let hash: [UInt8]

  /// Hashes a password with a new salt. Slow and large: see ``PasswordHasher``.
  package init(_ password: Secret, parameters: Scrypt.Parameters) throws(CryptographyError) {
    self.parameters = parameters
    salt = RandomBytes.make(16)
    hash = try Scrypt.derive(password: password, salt: salt, parameters: parameters).reveal()
  }

  /// What no password matches, and checking it costs what every check costs.
  package init(matchingNothing parameters: Scrypt.Parameters) {
    self.parameters = parameters
    salt = RandomBytes.make(16)
    hash = RandomBytes.make(32)
  }

  /// Reads a stored string; nil when it is none, or when its costs are beyond what this host spends on a check.
  package init?(phc: String) {
    let parts = phc.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
    var costs: [Substring: UInt64] = [:]
    for cost in parts[2].split(separator: ",") {
      let pair = cost.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, let value = UInt64(pair[1]), costs.updateValue(value, forKey: pair[0]) == nil else {
        return nil
      }
    }
    guard costs.count == 3, let ln = costs["ln"], (1...20).contains(ln), let r = costs["r"], (1...32).contains(r),
      let p = costs["p"], (1...16).contains(p), let salt = Base64.decodeURL(Self.urlForm(parts[3])),
      let hash = Base64.decodeURL(Self.urlForm(parts[4])), (8...64).contains(salt.count),
      (16...64).contains(hash.count)
    else { return nil }
    parameters = Scrypt.Parameters(n: 1 << ln, r: r, p: p)
    self.salt = salt
    self.hash = hash
  }

  /// The string to store.
  package var phc: String {
    let ln = parameters.n.trailingZeroBitCount
    let costs = "ln=\(ln),r=\(parameters.r),p=\(parameters.p)"
    return "$scrypt$\(costs)$\(Self.standardForm(salt))$\(Self.standardForm(hash))"
  }

  /// Whether the password is the stored one, in constant time.
  package func matches(_ password: Secret) throws(CryptographyError) -> Bool {
    let derived = try Scrypt.derive(password: password, salt: salt, parameters: parameters, count: hash.count)
    return derived == Secret(hash)
  }

  /// Whether a hash with `wanted` would be dearer to guess.
  package func isWeaker(than wanted: Scrypt.Parameters) -> Bool {
    parameters.n < wanted.n || parameters.r < wanted.r || parameters.p < wanted.p
  }

  // PHC strings use the standard alphabet without padding.
  private static func standardForm(_ bytes: [UInt8]) -> String {
    Base64.encodeURL(bytes).replacing("-", with: "+").replacing("_", with: "/")
  }

  private static func urlForm(_ text: Substring) -> String {
    String(text).replacing("+", with: "-").replacing("/", with: "_")
  }
}
