/// A failed cryptographic operation; carries no key material and no plaintext.
package enum CryptographyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The tag did not match: wrong key, wrong nonce, wrong associated data or altered ciphertext.
  case authenticationFailed
  /// An input has a length or a value that the algorithm does not take.
  case invalidParameter(String)
  /// The library refused to work; names the operation only.
  case libraryFailure(String)

  package var description: String {
    switch self {
    case .authenticationFailed: "the sealed bytes do not belong to this key and context"
    case .invalidParameter(let name): "the parameter \(name) is out of range"
    case .libraryFailure(let operation): "the cryptographic library failed in \(operation)"
    }
  }
}
