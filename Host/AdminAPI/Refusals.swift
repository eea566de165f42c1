import Connecting
import HTTPServer
import Identity
import JSONDocument
import Logging
import MediaStore
import OAuth
import PluginStore
import Postgres
import Publishing
import Sites
import Vault
import WebhookEndpoints

/// Turns every error of the layers below into the API's answer, at one place.
enum Refusals {
  static func problem(_ error: any Error) -> HTTPProblem? {
    switch error {
    case let error as any HTTPError: error.problem
    case let error as FieldError:
      HTTPProblem(status: 400, code: error.code.rawValue, message: error.message, field: error.field)
    case let error as JSONError:
      HTTPProblem(status: 400, code: "invalidJSON", message: "The body is no usable JSON: \(error)")
    case let error as PublishingError: problem(error)
    case let error as StoreError: problem(error)
    case let error as SiteError: problem(error)
    case let error as SignInError: problem(error)
    case let error as IdentityError: problem(error)
    case let error as MediaError: problem(error)
    case let error as WebhookError: problem(error)
    case let error as SignInRefusal: problem(error)
    case let error as PlatformAppError: problem(error)
    case let error as ReturnAddressError:
      HTTPProblem(status: 422, code: "notAllowed", message: "A return address \(error)", field: "returnAddresses")
    case let error as VaultRefusal:
      HTTPProblem(status: error.kind == .notFound ? 404 : 409, code: error.code, message: error.message)
    case let error as PostgresError where error.isConnectionLost || error.isNotSent:
      HTTPProblem.unavailable("The database is not available right now; nothing was changed, try again")
    default: nil
    }
  }

  /// The `errno` of a disk that failed; nil for everything else.
  static func diskFailure(_ error: any Error) -> Int32? {
    if case .disk(_, let code) = error as? MediaError { code } else { nil }
  }

  private static func problem(_ error: PublishingError) -> HTTPProblem {
    let status =
      switch error.kind {
      case .notFound: 404
      case .invalid: 422
      case .conflict: 409
      case .unavailable: 503
      case .refusedByPlatform: 422
      }
    return HTTPProblem(
      status: status,
      code: error.code,
      message: error.message,
      field: error.field,
      detailsJSON: error.details
    )
  }

  private static func problem(_ error: StoreError) -> HTTPProblem {
    switch error.code {
    case .notFound: HTTPProblem(status: 404, code: "plugin_not_found", message: error.message)
    case .conflict: HTTPProblem(status: 409, code: "plugin_conflict", message: error.message)
    case .malformed, .manifest, .signature, .tampered, .platform:
      HTTPProblem(status: 422, code: "bundle_\(error.code.rawValue)", message: error.message, field: "body")
    case .download: HTTPProblem(status: 422, code: "bundle_download", message: error.message, field: "url")
    case .key, .io: HTTPProblem.unavailable("The host can not store plugins right now")
    }
  }

  private static func problem(_ error: SiteError) -> HTTPProblem {
    switch error {
    case .notFound: HTTPProblem(status: 404, code: "site_not_found", message: "\(error)")
    case .domainTaken: HTTPProblem(status: 409, code: "domain_taken", message: "\(error)", field: "domain")
    case .unknownTimeZone: HTTPProblem(status: 422, code: "unknown_time_zone", message: "\(error)", field: "timeZone")
    case .versionConflict: HTTPProblem(status: 409, code: "version_conflict", message: "\(error)", field: "If-Match")
    }
  }

  private static func problem(_ error: SignInError) -> HTTPProblem {
    let message = "\(error)"
    return switch error {
    case .wrong: HTTPProblem(status: 401, code: "sign_in_failed", message: message)
    case .tooMany(let seconds):
      HTTPProblem(
        status: 429,
        code: "too_many_requests",
        message: message,
        headers: ["retry-after": "\(seconds)"]
      )
    case .busy: HTTPProblem(status: 429, code: "busy", message: message, headers: ["retry-after": "2"])
    case .linkNotValid: HTTPProblem(status: 422, code: "link_not_valid", message: message, field: "secret")
    case .weakPassword: HTTPProblem(status: 422, code: "weak_password", message: message, field: "password")
    }
  }

  private static func problem(_ error: IdentityError) -> HTTPProblem {
    let message = "\(error)"
    return switch error {
    case .unknownUser: HTTPProblem(status: 404, code: "user_not_found", message: message)
    case .unknownMember: HTTPProblem(status: 404, code: "member_not_found", message: message)
    case .unknownToken: HTTPProblem(status: 404, code: "token_not_found", message: message)
    case .emailTaken: HTTPProblem(status: 409, code: "email_taken", message: message, field: "email")
    case .invalidEmail: HTTPProblem(status: 422, code: "invalid_email", message: message, field: "email")
    case .unknownIssuer: HTTPProblem(status: 404, code: "issuer_not_found", message: message)
    case .invalidIssuer: HTTPProblem(status: 422, code: "invalid_issuer", message: message)
    case .lastOwner: HTTPProblem(status: 409, code: "last_owner", message: message)
    }
  }

  private static func problem(_ error: WebhookError) -> HTTPProblem {
    let status =
      switch error.kind {
      case .notFound: 404
      case .invalid: 422
      case .conflict: 409
      }
    return HTTPProblem(status: status, code: error.code, message: error.message, field: error.field)
  }

  private static func problem(_ error: SignInRefusal) -> HTTPProblem {
    let message = "\(error)"
    return switch error {
    case .unsupported: HTTPProblem(status: 400, code: "platform_not_supported", message: message, field: "platform")
    case .unknownScopes: HTTPProblem(status: 422, code: "unknown_scopes", message: message, field: "scopes")
    case .badReturnAddress: HTTPProblem(status: 422, code: "notAllowed", message: message, field: "redirectUrl")
    case .noOwnAddress: HTTPProblem(status: 409, code: "no_public_url", message: message)
    case .notFound: HTTPProblem(status: 404, code: "sign_in_not_found", message: message)
    case .ticketNotValid: HTTPProblem(status: 409, code: "ticket_not_valid", message: message)
    case .nothingToChoose: HTTPProblem(status: 409, code: "nothing_to_choose", message: message)
    case .unknownAccount: HTTPProblem(status: 422, code: "unknown_account", message: message, field: "accounts")
    case .connectionNotFound:
      HTTPProblem(status: 404, code: "connection_not_found", message: message, field: "connectionId")
    }
  }

  private static func problem(_ error: PlatformAppError) -> HTTPProblem {
    let message = "\(error)"
    return switch error {
    case .notFound: HTTPProblem(status: 404, code: "app_not_found", message: message, field: "appId")
    case .nameTaken: HTTPProblem(status: 409, code: "name_taken", message: message, field: "name")
    case .inUse: HTTPProblem(status: 409, code: "app_in_use", message: message)
    case .notConfigured: HTTPProblem(status: 409, code: "app_not_configured", message: message)
    case .badSetting: HTTPProblem(status: 409, code: "app_misconfigured", message: message)
    case .tooMany: HTTPProblem(status: 409, code: "too_many_apps", message: message)
    }
  }

  private static func problem(_ error: MediaError) -> HTTPProblem {
    switch error {
    case .notFound: HTTPProblem(status: 404, code: "media_not_found", message: "\(error)")
    case .tooLarge: HTTPProblem(status: 413, code: "file_too_large", message: "\(error)")
    case .empty, .unknownFormat: HTTPProblem(status: 422, code: "file_not_usable", message: "\(error)", field: "body")
    case .disk: HTTPProblem.unavailable("The host can not store files right now")
    }
  }
}
