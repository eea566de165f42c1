import Identity
import JSONDocument
import Migrations
import PluginStore
import Postgres
import Publishing
import Server
import Sites
import Vault
import WebhookEndpoints

/// Turns errors into a sentence and an exit code, at one place.
enum Failures {
  static func describe(_ error: any Error) -> (code: ExitCode, text: String) {
    switch error {
    case let error as CommandError: (error.code, error.description)
    case let error as ConfigurationError: (.usage, error.description)
    case let error as StoreError: (error.code == .notFound ? .notFound : .failure, error.description)
    case let error as IdentityError: (code(of: error), error.description)
    case let error as PublishingError: (error.kind == .notFound ? .notFound : .failure, error.message)
    case let error as VaultRefusal: (error.kind == .notFound ? .notFound : .failure, error.message)
    case let error as WebhookError: (error.kind == .notFound ? .notFound : .failure, error.message)
    case SiteError.notFound(let id): (.notFound, "There is no site \(id); see `rostrum site list`")
    case let error as PostgresError where error.code == .connection:
      (.failure, "The database can not be reached; check DATABASE_URL, then run `rostrum doctor`. \(error)")
    case let error as PostgresError: (.failure, "The database refused: \(error)")
    default: (.failure, "\(error)")
    }
  }

  private static func code(of error: IdentityError) -> ExitCode {
    switch error {
    case .unknownUser, .unknownMember, .unknownToken, .unknownIssuer: .notFound
    case .emailTaken, .lastOwner, .invalidIssuer: .failure
    case .invalidEmail: .usage
    }
  }
}
