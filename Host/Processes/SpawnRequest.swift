/// What program to start, and what it gets.
///
/// The child holds the descriptors 0 to 2 and those of `descriptors` only, and its signals have their default actions.
package struct SpawnRequest: Sendable {
  /// Where a standard stream of the child leads.
  package enum StandardStream: Sendable, Equatable {
    /// A new pipe whose other end the `ChildProcess` owns.
    case pipe
    /// `/dev/null`.
    case null
    /// The stream of this process with the same number.
    case inherit
    /// A descriptor that the caller keeps open until `spawn` returned.
    case descriptor(Int32)
  }

  /// The user and group a child runs as, without supplementary groups. Needs root, unless they are those of this
  /// process.
  package struct User: Sendable, Equatable {
    package let uid: UInt32
    package let gid: UInt32

    package init(uid: UInt32, gid: UInt32) {
      self.uid = uid
      self.gid = gid
    }
  }

  /// The path of the program, which is also its first argument.
  package var executable: String
  /// The arguments after the first.
  package var arguments: [String]
  /// The whole environment of the child.
  package var environment: [String: String]
  /// `nil` for the one of this process.
  package var workingDirectory: String?
  package var standardInput: StandardStream
  package var standardOutput: StandardStream
  package var standardError: StandardStream
  /// More descriptors for the child, which gets them as 3, 4, … in this order; at most 8. The request keeps them open.
  package var descriptors: [OwnedDescriptor]
  /// Whether the child leads a session and process group of its own. Signals then go to the whole group.
  package var newSession: Bool
  /// Whether the group is killed when its leader has ended. Without effect without `newSession`.
  package var endsGroupWithLeader: Bool
  /// Whether the kernel kills the child when this process dies.
  package var endsWithParent: Bool
  package var user: User?

  package init(
    executable: String,
    arguments: [String] = [],
    environment: [String: String] = [:],
    workingDirectory: String? = nil,
    standardInput: StandardStream = .null,
    standardOutput: StandardStream = .null,
    standardError: StandardStream = .null,
    descriptors: [OwnedDescriptor] = [],
    newSession: Bool = true,
    endsGroupWithLeader: Bool = true,
    endsWithParent: Bool = true,
    user: User? = nil
  ) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.standardInput = standardInput
    self.standardOutput = standardOutput
    self.standardError = standardError
    self.descriptors = descriptors
    self.newSession = newSession
    self.endsGroupWithLeader = endsGroupWithLeader
    self.endsWithParent = endsWithParent
    self.user = user
  }
}
