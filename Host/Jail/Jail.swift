internal import Glibc
internal import Logging
package import Processes

/// Puts programs into a jail.
///
/// The jail itself is made by the launcher, a program that gives up one power after another and then executes the
/// verified file. What the kernel allows is found out once, by running a probe that tries to escape.
package final class Jail: Sendable {
  /// What the probe found.
  package let report: JailReport
  private let users: PluginUsers?
  /// The launcher's letter for the tier.
  private let letter: String
  let groups: ControlGroups?
  let logger: Logger
  let watch: ResourceWatch

  init(
    report: JailReport,
    letter: String,
    users: PluginUsers?,
    groups: ControlGroups?,
    watch: ResourceWatch,
    logger: Logger
  ) {
    self.report = report
    self.letter = letter
    self.users = users
    self.groups = groups
    self.watch = watch
    self.logger = logger
  }

  /// The tier that programs run in.
  package var tier: JailTier { report.tier }

  /// Whether the launcher stays as the parent of the program.
  var usesNamespaces: Bool { letter == "a" }

  /// How the launcher is to be started for a program. Its standard streams are pipes.
  ///
  /// Reads the head of the program; blocking.
  package func request(for program: JailedProgram) throws(JailError) -> SpawnRequest {
    if let failure = report.failure { throw .unavailable(failure) }
    guard let image = program.image.rawValue else {
      throw .unreadable(program: program.name, reason: "its descriptor is closed")
    }
    var arguments = ["run", "-t", letter, "-n", "\(program.limits.descriptors)"]
    if let user = users?.user(of: program.plugin) {
      // The limit counts all processes of the user, and two versions of a plugin may run side by side.
      arguments += ["-u", "\(user)", "-g", "\(user)", "-p", "\(min(max(program.limits.threads, 1), 16_384) * 4)"]
    }
    if let directory = program.directory {
      guard let path = JailPaths.normalized(directory), path != "/" else { throw .pathRefused(directory) }
      arguments += ["-d", path]
    }
    arguments += try paths(of: program, image: image).arguments
    var words = [program.name]
    if let interpreter = program.interpreter {
      arguments += ["-i", interpreter.path, "-s", interpreter.script]
      words = [interpreter.path, interpreter.script]
    }
    var descriptors = [program.image]
    if let group = groups?.group(for: program, logger: logger) {
      arguments.append("-c")
      descriptors.append(group)
    }
    return SpawnRequest(
      executable: report.launcher,
      arguments: arguments + ["--"] + words + program.arguments,
      environment: program.environment,
      workingDirectory: "/",
      standardInput: .pipe,
      standardOutput: .pipe,
      standardError: .pipe,
      descriptors: descriptors
    )
  }

  private func paths(of program: JailedProgram, image: Int32) throws(JailError) -> JailPaths {
    var paths = JailPaths()
    for path in program.readPaths {
      guard let normal = JailPaths.normalized(path), JailPaths.isAllowed(normal) else { throw .pathRefused(path) }
      paths.readable.append(normal)
    }
    let head: ELFImage
    if let interpreter = program.interpreter {
      head = try Self.head(ofFile: interpreter.path)
    } else {
      head = try Self.head(of: image, name: program.name)
    }
    let origin = program.interpreter == nil ? program.directory : nil
    paths.add(head, origin: origin, resolve: FileSystem.resolve, exists: FileSystem.exists)
    return paths
  }

  private static func head(ofFile path: String) throws(JailError) -> ELFImage {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(program: path, reason: SystemError.text(of: errno)) }
    defer { _ = close(descriptor) }
    return try head(of: descriptor, name: path)
  }

  private static func head(of descriptor: Int32, name: String) throws(JailError) -> ELFImage {
    do {
      return try ELFImage(descriptor: descriptor)
    } catch {
      switch error {
      case .script:
        throw .notExecutable(program: name, reason: "it is a script, so its manifest must name the interpreter")
      case .notELF: throw .notExecutable(program: name, reason: "it is no program for Linux")
      case .damaged(let text): throw .notExecutable(program: name, reason: text)
      case .unreadable(let code): throw .unreadable(program: name, reason: SystemError.text(of: code))
      }
    }
  }
}
