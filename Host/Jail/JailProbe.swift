internal import Glibc
package import Logging
package import Processes

extension Jail {
  /// Finds out what the kernel allows: runs a program that tries to escape, from the best tier downwards, and takes the
  /// first tier that it does not get out of. Kills what an earlier host left behind.
  ///
  /// Never fails: without a working launcher the jail refuses each program and says why.
  ///
  /// - Parameters:
  ///   - launcher: Absolute path of `rostrum-jail`.
  ///   - runDirectory: A folder of this host alone, in which running plugins are noted; nil notes none.
  ///   - best: The first tier to try.
  package static func probe(
    launcher: String,
    spawner: Spawner,
    logger: Logger,
    runDirectory: String? = nil,
    best: JailTier = .a
  ) async -> Jail {
    let records = runDirectory.map { RunRecords(directory: $0, logger: logger) }
    records?.killLeftovers()
    let watch = ResourceWatch(records: records, logger: logger)
    var prober = JailProber(launcher: launcher, spawner: spawner, logger: logger, watch: watch)
    let jail = await prober.run(best: best)
    if let failure = jail.report.failure {
      logger.error("No plugin can be started", ["reason": "\(failure)"])
    } else {
      logger.info("Plugins run in a jail", ["tier": "\(jail.tier)", "limits": "\(jail.report.limitingText)"])
    }
    return jail
  }
}

/// One search for the best tier.
private struct JailProber {
  /// A way to start the launcher.
  private struct Way {
    let tier: JailTier
    let letter: String
    let name: String
  }

  private static let ways = [
    Way(tier: .a, letter: "a", name: "tier A"),
    Way(tier: .b, letter: "b", name: "tier B"),
    Way(tier: .c, letter: "c", name: "tier C with a filter"),
    Way(tier: .c, letter: "d", name: "tier C"),
  ]

  private let launcher: String
  private let spawner: Spawner
  private let logger: Logger
  private let watch: ResourceWatch
  private let users: PluginUsers?
  private var trials: [JailReport.Trial] = []

  init(launcher: String, spawner: Spawner, logger: Logger, watch: ResourceWatch) {
    self.launcher = launcher
    self.spawner = spawner
    self.logger = logger
    self.watch = watch
    if geteuid() == 0, let map = SmallFile.read("/proc/self/uid_map"), let range = PluginUsers.range(map: map) {
      users = PluginUsers(range: range)
    } else {
      users = nil
    }
  }

  mutating func run(best: JailTier) async -> Jail {
    guard geteuid() != 0 || users != nil else {
      return failed("this host runs as root, and there are no numbers of users for plugins; run it as another user")
    }
    guard unsafe access(launcher, X_OK) == 0 else {
      let reason = SystemError.text(of: errno)
      return failed("the launcher \(launcher) can not be executed: \(reason). It belongs beside the rostrum program")
    }
    let targets: ProbeTargets
    do {
      targets = try ProbeTargets()
    } catch {
      return failed("the probe can not be set up: \(error)")
    }
    defer { targets.remove() }
    for way in Self.ways where way.tier <= best {
      let output = await attempt(way, targets)
      trials.append(JailReport.Trial(name: way.name, output: output))
      let isGood = way.tier == .c ? output.problem == nil : output.isTight
      if isGood { return jail(way) }
      logger.info("A tier of the jail does not hold", ["trial": "\(trials.last?.summary ?? way.name)"])
    }
    return failed("the launcher \(launcher) does not work here. \(trials.map(\.summary).joined(separator: "; "))")
  }

  private func attempt(_ way: Way, _ targets: ProbeTargets) async -> ProbeOutput {
    let provisional = makeJail(way, groups: nil, failure: nil)
    let image = OwnedDescriptor(adopting: unsafe open(launcher, O_RDONLY | O_CLOEXEC))
    let program = JailedProgram(
      plugin: "probe",
      image: image,
      name: "rostrum-jail",
      arguments: ["probe"] + targets.arguments,
      environment: ["LANG": "C.UTF-8"]
    )
    do {
      let request = try provisional.request(for: program)
      let output = try await spawner.output(of: request, limit: 65_536, deadline: .seconds(20))
      return ProbeOutput(
        standardOutput: String(decoding: output.standardOutput, as: UTF8.self),
        standardError: String(decoding: output.standardError, as: UTF8.self),
        status: output.status
      )
    } catch {
      return ProbeOutput(standardOutput: "", standardError: "\(error)", status: .exited(-1))
    }
  }

  private func jail(_ way: Way) -> Jail {
    makeJail(way, groups: ControlGroups.find(), failure: nil)
  }

  private func failed(_ reason: String) -> Jail {
    makeJail(Way(tier: .c, letter: "d", name: ""), groups: nil, failure: reason)
  }

  private func makeJail(_ way: Way, groups: Result<ControlGroups, ControlGroups.Missing>?, failure: String?) -> Jail {
    var found: ControlGroups?
    var limiting = JailReport.Limiting.watching("nothing is started")
    switch groups {
    case .success(let groups):
      found = groups
      limiting = .controlGroups(groups.path)
    case .failure(let missing): limiting = .watching(missing.reason)
    case nil: break
    }
    let report = JailReport(
      tier: way.tier,
      launcher: launcher,
      separatesUsers: users != nil,
      trials: trials,
      limiting: limiting,
      failure: failure
    )
    return Jail(report: report, letter: way.letter, users: users, groups: found, watch: watch, logger: logger)
  }
}
