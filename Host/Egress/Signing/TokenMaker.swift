import Cryptography
import FoundationEssentials
import JSONText
import PluginManifest

/// Signs JSON Web Tokens whose content the manifest and the host decide alone.
struct TokenMaker {
  let secrets: LiveSecrets
  let now: Date

  func token(_ template: TokenTemplate) throws(EgressError) -> String {
    let secret = try secrets.value(template.key)
    var keyID = try template.keyID.map { claim throws(EgressError) in try self.text(claim) }
    let issued = Int64(now.timeIntervalSince1970.rounded(.down))
    var claims: [String: RawJSON] = [:]
    for (name, claim) in template.claims { claims[name] = RawJSON.string(try self.text(claim)) }
    claims["iat"] = Self.number(issued)
    claims["exp"] = Self.number(issued + template.lifetime.components.seconds)
    if template.isUnique { claims["jti"] = RawJSON.string(Hex.encode(RandomBytes.make(16))) }
    let sign: (String) throws(EgressError) -> [UInt8]
    if template.algorithm == .hs256 {
      let (id, key) = try Self.key(secret, template.keyForm)
      keyID = keyID ?? id
      sign = { text throws(EgressError) in HMACSHA256.authenticate(Array(text.utf8), key: key) }
    } else {
      sign = { text throws(EgressError) in try Self.sign(text, secret, template.algorithm.rawValue) }
    }
    var header = ["alg": RawJSON.string(template.algorithm.rawValue), "typ": RawJSON.string("JWT")]
    if let keyID { header["kid"] = RawJSON.string(keyID) }
    let text = Self.part(header) + "." + Self.part(claims)
    return text + "." + Base64.encodeURL(try sign(text))
  }

  private func text(_ claim: TokenTemplate.Claim) throws(EgressError) -> String {
    switch claim {
    case .literal(let text): return text
    case .secret(let name):
      guard let text = try secrets.value(name).revealText() else { throw Self.broken }
      return text
    }
  }

  /// An object in the order of its keys, as Base64 for URLs.
  static func part(_ members: [String: RawJSON]) -> String {
    let json = RawJSON.object { writer in
      for (name, value) in members.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
    }
    return Base64.encodeURL(Array(json.bytes))
  }

  static func number(_ value: Int64) -> RawJSON {
    var writer = JSONWriter(capacity: 20)
    writer.int(value)
    return writer.finish()
  }

  /// Signs with a private key of exactly this algorithm.
  static func sign(_ text: String, _ pem: Secret, _ algorithm: String) throws(EgressError) -> [UInt8] {
    do throws(CryptographyError) {
      let key = try SigningKey(pem: pem)
      guard key.algorithm.rawValue == algorithm else { throw .invalidParameter("pem") }
      return try key.sign(Array(text.utf8))
    } catch {
      throw broken
    }
  }

  private static func key(_ secret: Secret, _ form: TokenTemplate.KeyForm) throws(EgressError) -> (String?, Secret) {
    guard let text = secret.revealText() else { throw broken }
    var id: String?
    var bytes: [UInt8]?
    switch form {
    case .text: return (nil, secret)
    case .hex: bytes = Hex.decode(text)
    case .base64: bytes = Base64.decode(text)
    case .idHex:
      let halves = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard halves.count == 2 else { throw broken }
      id = halves[0]
      bytes = Hex.decode(halves[1])
    case .pem: break
    }
    guard var bytes, !bytes.isEmpty else { throw broken }
    return (id, Secret(wiping: &bytes))
  }

  static let broken = EgressError(.internal, "a signing key of the account has not the form that the manifest declares")
}
