import Cryptography
import FoundationEssentials
import JSONDocument

/// A JSON Web Token as it came, with nothing believed yet.
struct WebToken: Sendable {
  enum Algorithm: String, Sendable, CaseIterable {
    case rs256 = "RS256"
    case es256 = "ES256"
    case edDSA = "EdDSA"
    case hs256 = "HS256"
  }

  static let maximumBytes = 8_192
  /// How far the clocks of issuer and host may differ.
  static let skew: TimeInterval = 60

  let algorithm: Algorithm
  let keyID: String?
  let claims: [String: JSONValue]
  /// What was signed.
  let message: [UInt8]
  let signature: [UInt8]

  /// Reads a token; nil for anything that is none, or whose header asks for more than a plain signature.
  ///
  /// Members that name a key of the token's own choice (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.
  init?(_ text: String) {
    guard text.utf8.count <= Self.maximumBytes else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Self.object(parts[0]), let claims = Self.object(parts[1]),
      let signature = Base64.decodeURL(String(parts[2])), !signature.isEmpty,
      let algorithm = header["alg"]?.stringValue.flatMap(Algorithm.init), header["crit"] == nil, header["b64"] == nil
    else { return nil }
    if let keyID = header["kid"] {
      guard let name = keyID.stringValue, (1...255).contains(name.utf8.count) else { return nil }
      self.keyID = name
    } else {
      keyID = nil
    }
    self.algorithm = algorithm
    self.claims = claims
    self.signature = signature
    message = Array("\(parts[0]).\(parts[1])".utf8)
  }

  private static func object(_ part: Substring) -> [String: JSONValue]? {
    guard let bytes = Base64.decodeURL(String(part)), bytes.count <= maximumBytes else { return nil }
    // Whatever is no JSON is no token.
    return (try? JSONValue.parse(bytes))?.objectValue
  }

  // MARK: Claims

  var issuer: String? { claims["iss"]?.stringValue }

  var subject: String? {
    guard let subject = claims["sub"]?.stringValue, (1...255).contains(subject.utf8.count) else { return nil }
    return subject
  }

  var name: String? {
    guard let name = claims["name"]?.stringValue, !name.isEmpty else { return nil }
    return String(name.prefix(200))
  }

  func isFor(_ audience: String) -> Bool {
    if let one = claims["aud"]?.stringValue { return one == audience }
    return claims["aud"]?.arrayValue?.contains { $0.stringValue == audience } ?? false
  }

  /// Whether the token is of this time. It must say when it ends.
  func isCurrent(at now: Date) -> Bool {
    let now = now.timeIntervalSince1970
    guard let end = claims["exp"]?.doubleValue, end.isFinite, now < end + Self.skew else { return false }
    for name in ["nbf", "iat"] {
      guard let claim = claims[name] else { continue }
      guard let start = claim.doubleValue, start.isFinite, start - Self.skew <= now else { return false }
    }
    return true
  }

  /// The values of a claim that holds one text or a list of texts.
  func texts(_ claim: String) -> [String] {
    guard let value = claims[claim] else { return [] }
    return value.stringValue.map { [$0] } ?? value.arrayValue?.compactMap(\.stringValue) ?? []
  }
}
