/// What the simulated platforms allow and how fast they are; may change while the sandbox runs.
public struct SandboxSettings: Sendable, Equatable {
  /// False: requests are not counted; the headers still tell a limit, a very high one.
  public var rateLimits: Bool
  /// Multiplies every documented rate limit.
  public var rateLimitFactor: Int
  /// Milliseconds of the short window, 15 minutes on the real platform.
  public var rateLimitWindowMs: Int
  /// Milliseconds between the arrival of a request and its effect.
  public var baseDelayMs: Int
  /// Milliseconds in which the same text of one account is a duplicate; 0 allows duplicates.
  public var duplicateWindowMs: Int
  /// Milliseconds until a new post appears in its author's timeline.
  public var listLagMs: Int
  /// Seconds until uploaded media can no longer be used.
  public var mediaExpirySeconds: Int
  /// Milliseconds that the platform works on a GIF or video after its last part.
  public var mediaProcessingMs: Int

  /// The documented limits of the real platforms, without delay.
  public init() {
    rateLimits = true
    rateLimitFactor = 1
    rateLimitWindowMs = 900_000
    baseDelayMs = 0
    duplicateWindowMs = 86_400_000
    listLagMs = 0
    mediaExpirySeconds = 86_400
    mediaProcessingMs = 1_000
  }

  /// Settings for load tests: no rate limits; content is judged as strictly as ever.
  public static var unlimited: SandboxSettings {
    var settings = SandboxSettings()
    settings.rateLimits = false
    return settings
  }
}
