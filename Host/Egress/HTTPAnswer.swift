package import JSONText

/// What a plugin is told about its request, and what the host learns from it.
package struct HTTPAnswer: Sendable, Equatable {
  package enum Reply: Sendable, Equatable {
    /// `{"status","headers","json"|"text","truncated"}`, one line.
    case result(RawJSON)
    case error(EgressError)
  }

  package let reply: Reply
  /// Name of the manifest's rule; empty if the request was refused before one was found.
  package internal(set) var rule: String
  /// Whether the answer comes from the journal and nothing was sent now.
  package let isReplay: Bool
  /// HTTP status of an answer received now.
  package let status: Int?
  package let rateLimit: RateLimitSnapshot?
  /// How often a secret was found in the answer and taken out; more than 0 deserves a warning.
  package let redactions: Int

  package init(
    _ reply: Reply,
    rule: String = "",
    isReplay: Bool = false,
    status: Int? = nil,
    rateLimit: RateLimitSnapshot? = nil,
    redactions: Int = 0
  ) {
    self.reply = reply
    self.rule = rule
    self.isReplay = isReplay
    self.status = status
    self.rateLimit = rateLimit
    self.redactions = redactions
  }

  static func refused(_ error: EgressError) -> HTTPAnswer {
    HTTPAnswer(.error(error))
  }
}
