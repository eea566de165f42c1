package import Postgres

/// A failed operation of the vault. No case says why a blob did not open, so that nobody learns from trying.
package enum VaultError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The blob is not what it should be: cut, altered, of another row, or sealed with a key that is gone.
  case unreadable
  /// A key of the database is not in the key setting.
  case keyMissing(id: Int64)
  /// The key setting has another key under this id than the one that sealed the data.
  case keyWrong(id: Int64)
  /// The key setting cannot be used; the text says where and never quotes it.
  case invalidKeySetting(String)
  /// A value to be sealed is larger than the format allows.
  case tooLarge
  /// The cryptographic library failed.
  case cryptography
  case database(PostgresError)

  package var description: String {
    switch self {
    case .unreadable: "the sealed value cannot be opened"
    case .keyMissing(let id): "the encryption key \(id) is in use, but OAUTH_ENCRYPTION_KEY does not have it"
    case .keyWrong(let id): "the encryption key \(id) in OAUTH_ENCRYPTION_KEY is not the one the data is sealed with"
    case .invalidKeySetting(let problem): "OAUTH_ENCRYPTION_KEY cannot be used: \(problem)"
    case .tooLarge: "the value is too large to be sealed"
    case .cryptography: "the cryptographic library failed"
    case .database(let error): "the vault cannot use the database: \(error)"
    }
  }
}
