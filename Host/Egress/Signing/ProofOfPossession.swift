import Cryptography
import FoundationEssentials
import HTTPClient
import JSONText
import Synchronization

/// Proofs that the host has the key which a token is bound to (RFC 9449, ES256).
enum ProofOfPossession {
  /// The proof for one request.
  ///
  /// - Parameters:
  ///   - target: Where the request goes, as the platform knows itself.
  ///   - token: The access token that is sent along, nil at a token endpoint.
  ///   - nonce: What the server asked for last.
  static func proof(
    method: String,
    target: TargetURL,
    key pem: Secret,
    token: Secret?,
    nonce: String?,
    now: Date
  ) throws(EgressError) -> String {
    let point: (x: [UInt8], y: [UInt8])
    do throws(CryptographyError) {
      let key = try SigningKey(pem: pem)
      guard let coordinates = key.publicCoordinates() else { throw .invalidParameter("pem") }
      point = coordinates
    } catch {
      throw TokenMaker.broken
    }
    let jwk = RawJSON.object { writer in
      writer.field("crv", "P-256")
      writer.field("kty", "EC")
      writer.field("x", Base64.encodeURL(point.x))
      writer.field("y", Base64.encodeURL(point.y))
    }
    var claims = [
      "htm": RawJSON.string(method),
      "htu": RawJSON.string(target.origin + target.path),
      "iat": TokenMaker.number(Int64(now.timeIntervalSince1970.rounded(.down))),
      "jti": RawJSON.string(Hex.encode(RandomBytes.make(16))),
    ]
    if let nonce { claims["nonce"] = RawJSON.string(nonce) }
    if let token { claims["ath"] = RawJSON.string(Base64.encodeURL(SHA256.digest(token.reveal()))) }
    let header = ["alg": RawJSON.string("ES256"), "jwk": jwk, "typ": RawJSON.string("dpop+jwt")]
    let text = TokenMaker.part(header) + "." + TokenMaker.part(claims)
    return text + "." + Base64.encodeURL(try TokenMaker.sign(text, pem, "ES256"))
  }

  /// Whether the server refused a request only because it wants its nonce in the proof.
  static func wantsNonce(_ response: Response) -> Bool {
    guard response.status == 400 || response.status == 401, response.headers["dpop-nonce"] != nil else { return false }
    if response.headers.values(of: "www-authenticate").contains(where: { $0.contains("use_dpop_nonce") }) {
      return true
    }
    // A body that is no JSON says nothing.
    guard let json = try? RawJSON(response.body) else { return false }
    return (try? json.pointer("/error")?.string()) == "use_dpop_nonce"
  }
}

/// The last nonce of each server, per account.
final class NonceStore: Sendable {
  struct Key: Hashable, Sendable {
    let origin: String
    let connection: Int64
  }

  private static let capacity = 10_000
  private let nonces = Mutex<[Key: String]>([:])

  func nonce(_ key: Key) -> String? {
    nonces.withLock { $0[key] }
  }

  /// Notes what an answer says, unless it could not stand in a token.
  func note(_ headers: ResponseHeaders, _ key: Key) {
    guard let nonce = headers["dpop-nonce"], (1...512).contains(nonce.utf8.count),
      nonce.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return }
    nonces.withLock { nonces in
      if nonces.count >= Self.capacity { nonces.removeAll(keepingCapacity: true) }
      nonces[key] = nonce
    }
  }
}
