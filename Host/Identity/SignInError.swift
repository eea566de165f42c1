/// Why nobody was signed in.
package enum SignInError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The address is not known, the password is wrong, there is none, or the user is disabled: never said which.
  case wrong
  /// Too many tries; the seconds until the next one.
  case tooMany(seconds: Int)
  /// As many passwords are being checked as the host checks at once.
  case busy
  /// The link is not known, was used, has expired, or somebody was made an owner without it.
  case linkNotValid
  case weakPassword(String)

  package var description: String {
    switch self {
    case .wrong: "The e-mail address or the password is wrong"
    case .tooMany(let seconds): "Too many tries; try again in \(seconds) s"
    case .busy: "Too many people sign in at this moment; try again in 2 s"
    case .linkNotValid:
      "The link was used or has expired; ask for another one (`rostrum user link` on the host makes one)"
    case .weakPassword(let reason): reason
    }
  }
}

/// What a new password must be like. Length decides; rules about kinds of characters only make people write it down.
package enum PasswordRule {
  package static let length = 12...1_000

  package static func check(_ password: String, email: String) throws(SignInError) {
    guard length.contains(password.count), password.utf8.count <= 4_000 else {
      throw .weakPassword(
        "The password has \(password.count) characters; allowed are \(length.lowerBound) to \(length.upperBound)"
      )
    }
    guard Set(password).count >= 5 else {
      throw .weakPassword("The password repeats the same few characters; use at least 5 different ones")
    }
    guard password.lowercased() != email.lowercased() else {
      throw .weakPassword("The password is the e-mail address; choose something else")
    }
  }
}
