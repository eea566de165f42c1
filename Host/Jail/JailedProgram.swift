package import Processes

/// What a plugin may use of the machine.
package struct JailLimits: Sendable, Equatable {
  /// Resident memory in MiB.
  package var memoryMiB: Int
  /// Processor time, in cores.
  package var cpu: Double
  /// Threads.
  package var threads: Int
  /// Open descriptors, 16 or more.
  package var descriptors: Int

  package init(memoryMiB: Int = 96, cpu: Double = 0.5, threads: Int = 64, descriptors: Int = 64) {
    self.memoryMiB = memoryMiB
    self.cpu = cpu
    self.threads = threads
    self.descriptors = descriptors
  }
}

/// A verified program that is to run in a jail.
package struct JailedProgram: Sendable {
  /// A program that reads and runs a script.
  package struct Interpreter: Sendable, Equatable {
    /// Absolute path of the program.
    package var path: String
    /// The script, absolute, in the plugin's folder. The verified image is this very file.
    package var script: String

    package init(path: String, script: String) {
      self.path = path
      self.script = script
    }
  }

  /// The plugin's id; as root each plugin gets a user of its own.
  package var plugin: String
  /// The executable, or the script, as it was verified. Exactly this file is executed.
  package var image: OwnedDescriptor
  /// The program's first argument; system tools show it.
  package var name: String
  /// The folder of the plugin's files, readable by the plugin.
  package var directory: String?
  package var interpreter: Interpreter?
  /// More absolute paths that the plugin may read, with everything below them.
  package var readPaths: [String]
  package var arguments: [String]
  package var environment: [String: String]
  package var limits: JailLimits

  package init(
    plugin: String,
    image: OwnedDescriptor,
    name: String,
    directory: String? = nil,
    interpreter: Interpreter? = nil,
    readPaths: [String] = [],
    arguments: [String] = [],
    environment: [String: String] = [:],
    limits: JailLimits = JailLimits()
  ) {
    self.plugin = plugin
    self.image = image
    self.name = name
    self.directory = directory
    self.interpreter = interpreter
    self.readPaths = readPaths
    self.arguments = arguments
    self.environment = environment
    self.limits = limits
  }
}
