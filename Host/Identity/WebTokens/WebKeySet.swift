import Cryptography
import JSONDocument

/// The keys of an issuer, from a JSON Web Key Set.
struct WebKeySet: Sendable, Equatable {
  private struct Entry: Sendable, Equatable {
    let id: String?
    let key: VerifyingKey
  }

  static let maximumBytes = 64 << 10
  private static let maximumKeys = 64

  private let entries: [Entry]

  /// Reads a set; nil when it is none or holds no key that the host can use. Keys of other kinds are left out.
  init?(_ bytes: [UInt8]) {
    // Whatever is no JSON is no set.
    guard bytes.count <= Self.maximumBytes, let document = try? JSONValue.parse(bytes),
      let keys = document.pointer("/keys")?.arrayValue, keys.count <= Self.maximumKeys
    else { return nil }
    entries = keys.compactMap(Self.entry)
    guard !entries.isEmpty else { return nil }
  }

  /// The key of a token. A token that names none gets one only where there is no choice.
  func key(_ id: String?, _ algorithm: WebToken.Algorithm) -> VerifyingKey? {
    let fitting = entries.filter { $0.key.algorithm.rawValue == algorithm.rawValue && (id == nil || $0.id == id) }
    return fitting.count == 1 ? fitting[0].key : nil
  }

  private static func entry(_ value: JSONValue) -> Entry? {
    guard let members = value.objectValue, let kind = members["kty"]?.stringValue else { return nil }
    if let use = members["use"]?.stringValue, use != "sig" { return nil }
    func bytes(_ name: String) -> [UInt8] { members[name]?.stringValue.flatMap { Base64.decodeURL($0) } ?? [] }
    let key: VerifyingKey
    do throws(CryptographyError) {
      switch (kind, members["crv"]?.stringValue) {
      case ("RSA", _): key = try VerifyingKey(rsaModulus: bytes("n"), exponent: bytes("e"))
      case ("EC", "P-256"): key = try VerifyingKey(p256x: bytes("x"), y: bytes("y"))
      case ("OKP", "Ed25519"): key = try VerifyingKey(ed25519: bytes("x"))
      default: return nil
      }
    } catch {
      // A key that is none signs nothing.
      return nil
    }
    if let algorithm = members["alg"]?.stringValue, algorithm != key.algorithm.rawValue { return nil }
    return Entry(id: members["kid"]?.stringValue, key: key)
  }
}
