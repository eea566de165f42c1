import Cryptography
import Testing

/// The examples of RFC 7515 (A.2, A.3), and keys of our own.
@Suite struct VerifyingKeyTests {
  private static let claims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

  private static let modulus =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF"
    + "d2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo"
    + "7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkM"
    + "Ls91kzk2PAcDTW9gb54h4FRWyuXpoQ"

  private static let rsaSignature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
    + "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
    + "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
    + "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"

  private static let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
  private static let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
  private static let ecSignature =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

  private func bytes(_ text: String) throws -> [UInt8] { try #require(Base64.decodeURL(text)) }

  /// Whatever bit of message or signature is another one, the signature is none.
  private func check(_ key: VerifyingKey, _ message: [UInt8], _ signature: [UInt8]) {
    #expect(key.isValid(signature, for: message))
    for place in signature.indices {
      var changed = signature
      changed[place] ^= 1 << UInt8(place % 8)
      #expect(!key.isValid(changed, for: message), "\(place)")
    }
    #expect(!key.isValid(signature, for: message + [0]))
    #expect(!key.isValid([], for: message))
    #expect(!key.isValid(signature.dropLast(), for: message))
    #expect(!key.isValid(signature + [0], for: message))
    #expect(!key.isValid([UInt8](repeating: 0, count: signature.count), for: message))
  }

  @Test func rsaKeysOfOthersAreRead() throws {
    let key = try VerifyingKey(rsaModulus: try bytes(Self.modulus), exponent: try bytes("AQAB"))
    #expect(key.algorithm == .rs256)
    check(key, Array("eyJhbGciOiJSUzI1NiJ9.\(Self.claims)".utf8), try bytes(Self.rsaSignature))
  }

  @Test func curveKeysOfOthersAreRead() throws {
    let key = try VerifyingKey(p256x: try bytes(Self.x), y: try bytes(Self.y))
    #expect(key.algorithm == .es256)
    check(key, Array("eyJhbGciOiJFUzI1NiJ9.\(Self.claims)".utf8), try bytes(Self.ecSignature))
  }

  @Test func ed25519KeysAreRead() throws {
    let secret = Ed25519.makePrivateKey()
    let key = try VerifyingKey(ed25519: try Ed25519.publicKey(of: secret))
    let message = Array("message".utf8)
    check(key, message, try Ed25519.sign(message, with: secret))
  }

  @Test func whatIsNoKeyIsRefused() throws {
    let modulus = try bytes(Self.modulus)
    let (x, y) = (try bytes(Self.x), try bytes(Self.y))
    var beside = y
    beside[31] ^= 1
    let attempts: [() throws -> VerifyingKey] = [
      { try VerifyingKey(rsaModulus: Array(modulus.prefix(128)), exponent: [1, 0, 1]) },
      { try VerifyingKey(rsaModulus: modulus, exponent: []) }, { try VerifyingKey(rsaModulus: modulus, exponent: [1]) },
      { try VerifyingKey(rsaModulus: modulus, exponent: [2]) }, { try VerifyingKey(rsaModulus: [], exponent: [3]) },
      { try VerifyingKey(rsaModulus: [UInt8](repeating: 255, count: 1_025), exponent: [3]) },
      { try VerifyingKey(p256x: x, y: beside) }, { try VerifyingKey(p256x: x, y: Array(y.dropLast())) },
      { try VerifyingKey(p256x: [UInt8](repeating: 0, count: 32), y: [UInt8](repeating: 0, count: 32)) },
      { try VerifyingKey(ed25519: []) }, { try VerifyingKey(ed25519: [UInt8](repeating: 0, count: 33)) },
    ]
    for (place, attempt) in attempts.enumerated() {
      #expect(throws: CryptographyError.self, "\(place)") { try attempt() }
    }
  }
}
