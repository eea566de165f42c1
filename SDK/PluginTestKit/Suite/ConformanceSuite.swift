import FoundationEssentials
import JSONText
import PluginProtocol

/// Judges an adapter in any language: starts it, speaks to it as a host does, and breaks things.
///
/// Needs no host, no database and no network. The ten groups of checks run one after another.
public struct ConformanceSuite: Sendable {
  /// How the adapter is started.
  public let launch: AdapterLaunch
  /// Its manifest.
  public let manifest: AdapterManifest
  /// The author's posts and the platform's answers; without them, checks that publish are skipped.
  public let cases: ConformanceCases?
  /// The adapter's folder, where documents are looked for; nil to skip that.
  public let directory: String?
  /// How the adapter is started inside a jail; nil if there is none.
  public let confined: AdapterLaunch?
  /// Whether to take the time for many repetitions.
  public let isLong: Bool
  /// Times of the protocol are multiplied by this: 1, or more on a machine that has other things to do.
  public let patience: Int
  /// Makes the platform behind a host.
  let makePlatform: @Sendable () -> any ScriptedPlatform

  /// Prepares a run.
  ///
  /// - Parameter platform: makes the platform behind each host; by default it answers from the cases.
  public init(
    launch: AdapterLaunch,
    manifest: AdapterManifest,
    cases: ConformanceCases?,
    directory: String? = nil,
    confined: AdapterLaunch? = nil,
    isLong: Bool = false,
    patience: Int = 1,
    platform: (@Sendable () -> any ScriptedPlatform)? = nil
  ) {
    self.launch = launch
    self.manifest = manifest
    self.cases = cases
    self.directory = directory
    self.confined = confined
    self.isLong = isLong
    self.patience = max(patience, 1)
    makePlatform = platform ?? { CasePlatform(cases ?? .none) }
  }

  /// The groups in order.
  static let checks: [ConformanceCheck] =
    StartChecks.all + StreamChecks.all + LivenessChecks.all + PurityChecks.all + PublishChecks.all + SecretChecks.all
    + JailChecks.all + LifecycleChecks.all + PackageChecks.all + RobustnessChecks.all + [StreamChecks.cleanOutput]

  /// Ids and titles of all checks in order.
  public static var catalogue: [(id: String, title: String)] { checks.map { ($0.id, $0.title) } }

  /// Runs the checks whose id begins with one of `only`, or all of them.
  ///
  /// - Parameter progress: sees each check as it ends.
  public func run(
    only: [String] = [],
    progress: @Sendable (ConformanceReport.Entry) -> Void = { _ in }
  ) async -> ConformanceReport {
    let context = CheckContext(suite: self)
    var entries: [ConformanceReport.Entry] = []
    for check in Self.checks where only.isEmpty || only.contains(where: { check.id.hasPrefix($0) }) {
      let entry = await Self.run(check, context)
      progress(entry)
      entries.append(entry)
    }
    return ConformanceReport(plugin: manifest.id, version: manifest.version, entries: entries)
  }

  private static func run(_ check: ConformanceCheck, _ context: CheckContext) async -> ConformanceReport.Entry {
    let began = ContinuousClock.now
    let (outcome, detail): (ConformanceReport.Outcome, String?)
    do {
      (outcome, detail) = (.passed, try await check.run(context))
    } catch let skip as CheckSkip {
      (outcome, detail) = (.skipped, skip.description)
    } catch {
      (outcome, detail) = (.failed, "\(error)")
    }
    let (seconds, attoseconds) = (ContinuousClock.now - began).components
    return ConformanceReport.Entry(
      id: check.id,
      title: check.title,
      outcome: outcome,
      detail: detail,
      milliseconds: seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    )
  }
}
