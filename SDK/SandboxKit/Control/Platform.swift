/// The platforms that are simulated, by the names that faults, ledger and log use.
enum Platform: String, CaseIterable, Sendable {
  case x
  case linkedin
  case facebook
  case instagram
  case threads
  case tiktok
  case mastodon
  case webhook
  case microblog

  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
