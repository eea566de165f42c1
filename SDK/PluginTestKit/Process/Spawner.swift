import Glibc
import Synchronization

/// Starts a program with three pipes of its own.
enum Spawner {
  struct Child {
    let pid: pid_t
    /// The parent's ends.
    let input: Int32
    let output: Int32
    let errors: Int32
  }

  /// Held while descriptors exist that are not marked yet, so that no other child gets them.
  private static let lock = Mutex(())

  static func spawn(_ launch: AdapterLaunch, errorsAreBlocked: Bool) throws(AdapterProcessError) -> Child {
    let result: Result<Child, AdapterProcessError> = lock.withLock { _ in
      do throws(AdapterProcessError) {
        return .success(try spawnLocked(launch, errorsAreBlocked: errorsAreBlocked))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private static func spawnLocked(
    _ launch: AdapterLaunch,
    errorsAreBlocked: Bool
  ) throws(AdapterProcessError) -> Child {
    // Writing to an adapter that is gone must be an error, not the end of this process.
    signal(SIGPIPE, SIG_IGN)
    let input = try makePipe()
    let output = try makePipe()
    let errors = try makePipe()
    defer { for descriptor in [input.read, output.write, errors.write] { close(descriptor) } }
    if errorsAreBlocked { fill(errors.write) }
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    unsafe posix_spawn_file_actions_adddup2(&actions, input.read, STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, output.write, STDOUT_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, errors.write, STDERR_FILENO)
    // Out of the way first: a number may be one that another descriptor is to get.
    let copies = launch.descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 100) }
    defer { for copy in copies { close(copy) } }
    for (index, copy) in copies.enumerated() {
      unsafe posix_spawn_file_actions_adddup2(&actions, copy, Int32(3 + index))
    }
    unsafe closeOthers(&actions, from: Int32(3 + copies.count))
    // Every signal as a fresh process has it: this one ignores SIGPIPE, and ignoring is inherited.
    var signals = sigset_t()
    unsafe sigfillset(&signals)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Self.newSession | Self.defaultSignals | Self.signalMask)
    var pid = pid_t()
    let words = [launch.executable] + launch.arguments
    let environment = launch.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let status = unsafe withCStrings(words) { arguments in
      unsafe withCStrings(environment) { environment in
        unsafe posix_spawn(&pid, launch.executable, &actions, &attributes, arguments, environment)
      }
    }
    guard status == 0 else {
      for descriptor in [input.write, output.read, errors.read] { close(descriptor) }
      throw AdapterProcessError("\(launch.executable) cannot be started: \(unsafe String(cString: strerror(status)))")
    }
    return Child(pid: pid, input: input.write, output: output.read, errors: errors.read)
  }

  /// Keeps descriptors of this process, whoever opened them, out of the child.
  ///
  /// Swift does not see the function's declaration; a library without it leaves the descriptors that are not marked.
  private static func closeOthers(_ actions: inout posix_spawn_file_actions_t, from first: Int32) {
    typealias CloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
    guard let symbol = unsafe dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
    let closeFrom = unsafe unsafeBitCast(symbol, to: CloseFrom.self)
    _ = unsafe closeFrom(&actions, first)
  }

  // The header defines these as macros that Swift does not see or types otherwise.
  private static let newSession: Int16 = 0x80
  private static let defaultSignals: Int16 = 0x04
  private static let signalMask: Int16 = 0x08

  private static func makePipe() throws(AdapterProcessError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0 else { throw AdapterProcessError("there is no pipe left (errno \(errno))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// Leaves no room in a pipe, as a reader does that never reads.
  private static func fill(_ descriptor: Int32) {
    let flags = fcntl(descriptor, F_GETFL, 0)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    let block = [UInt8](repeating: UInt8(ascii: "\n"), count: 4_096)
    while unsafe block.withUnsafeBytes({ unsafe write(descriptor, $0.baseAddress, $0.count) }) > 0 {}
    _ = fcntl(descriptor, F_SETFL, flags)
  }

  private static func withCStrings<Result>(
    _ texts: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe texts.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("the list ends with a null pointer") }
      return unsafe body(base)
    }
  }
}
