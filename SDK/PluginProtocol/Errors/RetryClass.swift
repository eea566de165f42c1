/// What the host may do after an error.
public struct RetryClass: RawRepresentable, Sendable, Hashable {
  /// The name on the wire.
  public let rawValue: String

  /// Makes a class from its name.
  public init(rawValue: String) {
    self.rawValue = rawValue
  }

  /// Trying again cannot help.
  public static let never = RetryClass(rawValue: "never")
  /// Trying again may help, and nothing was done.
  public static let retry = RetryClass(rawValue: "retry")
  /// Something may have been done: look before trying again.
  public static let reconcile = RetryClass(rawValue: "reconcile")
  /// Trying again helps after some time.
  public static let after = RetryClass(rawValue: "after")
  /// The account must be connected again.
  public static let reauth = RetryClass(rawValue: "reauth")
  /// The author must change the content.
  public static let userFix = RetryClass(rawValue: "userFix")
  /// Another version of host or plugin is needed.
  public static let upgrade = RetryClass(rawValue: "upgrade")
  /// The caller of a canceled call decides.
  public static let caller = RetryClass(rawValue: "caller")
}
