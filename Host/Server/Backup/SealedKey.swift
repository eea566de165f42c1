internal import Cryptography
internal import FoundationEssentials
internal import JSONDocument

/// The key that seals credentials, sealed itself with a passphrase, as it lies in a back-up.
enum SealedKey {
  private static let purpose = Array("rostrum backup key".utf8)

  /// Shortest passphrase in bytes; the key opens every account.
  static let minimumPassphrase = 12

  static func seal(_ key: Secret, with passphrase: Secret) throws -> JSONValue {
    guard passphrase.count >= minimumPassphrase else {
      throw StartError("The passphrase has \(passphrase.count) bytes; allowed are \(minimumPassphrase) and more")
    }
    let salt = RandomBytes.make(16)
    let nonce = RandomBytes.make(AESGCM.nonceByteCount)
    let wrapping = try Scrypt.derive(password: passphrase, salt: salt)
    let sealed = try AESGCM.seal(key, key: wrapping, nonce: nonce, aad: purpose)
    return [
      "salt": .string(Base64.encode(salt)), "nonce": .string(Base64.encode(nonce)),
      "sealed": .string(Base64.encode(sealed)),
    ]
  }

  static func open(_ json: JSONValue, with passphrase: Secret) throws -> Secret {
    func bytes(_ name: String) throws -> [UInt8] {
      guard let bytes = json.objectValue?[name]?.stringValue.flatMap({ Base64.decode($0) }) else {
        throw StartError("The sealed key in the back-up can not be read")
      }
      return bytes
    }
    let wrapping = try Scrypt.derive(password: passphrase, salt: try bytes("salt"))
    do {
      return try AESGCM.open(try bytes("sealed"), key: wrapping, nonce: try bytes("nonce"), aad: purpose)
    } catch CryptographyError.authenticationFailed {
      throw StartError("The passphrase does not open the key in the back-up")
    }
  }
}
