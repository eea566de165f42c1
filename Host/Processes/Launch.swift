internal import CHostShims
internal import Glibc

/// One start of a program: makes the pipes and calls the C part. Used on the spawner's thread only.
struct Launch {
  /// One standard stream: what the child gets, and what stays here.
  private struct Stream {
    var child: Int32
    /// The child's end of a pipe, closed here after the start.
    var childEnd: OwnedDescriptor?
    var ownEnd: OwnedDescriptor?
  }

  private let request: SpawnRequest

  init(_ request: SpawnRequest) {
    self.request = request
  }

  func run() throws(SpawnError) -> ChildProcess {
    let environment = request.environment.map { "\($0.key)=\($0.value)" }.sorted()
    let arguments = [request.executable] + request.arguments
    let texts = arguments + environment + [request.workingDirectory ?? ""]
    guard !texts.contains(where: { $0.utf8.contains(0) }) else {
      throw SpawnError(step: .arguments, code: EINVAL, executable: request.executable)
    }
    let input = try makeStream(request.standardInput, childReads: true)
    let output = try makeStream(request.standardOutput, childReads: false)
    let error = try makeStream(request.standardError, childReads: false)
    defer {
      input.childEnd?.close()
      output.childEnd?.close()
      error.childEnd?.close()
    }
    var child = CHostShims_Child()
    let code = start(
      arguments: arguments,
      environment: environment,
      streams: (input.child, output.child, error.child),
      child: &child
    )
    guard code == 0 else {
      let step = SpawnError.Step(shimStep: child.failed_step)
      throw SpawnError(step: step, code: code, executable: request.executable)
    }
    return ChildProcess(
      pid: child.pid,
      pidDescriptor: child.pidfd,
      request: request,
      standardInput: input.ownEnd,
      standardOutput: output.ownEnd,
      standardError: error.ownEnd
    )
  }

  private func makeStream(
    _ stream: SpawnRequest.StandardStream,
    childReads: Bool
  ) throws(SpawnError) -> Stream {
    switch stream {
    case .null: return Stream(child: CHOSTSHIMS_STREAM_NULL)
    case .inherit: return Stream(child: CHOSTSHIMS_STREAM_INHERIT)
    case .descriptor(let descriptor): return Stream(child: descriptor)
    case .pipe:
      let ends = try OwnedDescriptor.makePipe()
      let childEnd = childReads ? ends.read : ends.write
      guard let descriptor = childEnd.rawValue else {
        throw SpawnError(step: .pipe, code: EBADF, executable: request.executable)
      }
      return Stream(child: descriptor, childEnd: childEnd, ownEnd: childReads ? ends.write : ends.read)
    }
  }

  private func start(
    arguments: [String],
    environment: [String],
    streams: (Int32, Int32, Int32),
    child: inout CHostShims_Child
  ) -> Int32 {
    let extras = request.descriptors.map { $0.rawValue ?? -1 }
    guard extras.count <= Int(CHOSTSHIMS_MAXIMUM_EXTRAS), !extras.contains(-1) else {
      child.failed_step = CHOSTSHIMS_STEP_STREAMS
      return EBADF
    }
    let argv = CStringArray(arguments)
    let envp = CStringArray(environment)
    let directory = unsafe request.workingDirectory.map { unsafe strdup($0) } ?? nil
    defer {
      argv.free()
      envp.free()
      unsafe free(directory)
    }
    return unsafe extras.withUnsafeBufferPointer { extras in
      unsafe request.executable.withCString { path in
        var shim = unsafe CHostShims_SpawnRequest(
          path: path,
          argv: argv.pointer,
          envp: envp.pointer,
          directory: directory,
          streams: streams,
          extras: extras.baseAddress,
          extra_count: Int32(extras.count),
          new_session: request.newSession ? 1 : 0,
          set_user: request.user == nil ? 0 : 1,
          uid: request.user?.uid ?? 0,
          gid: request.user?.gid ?? 0,
          death_signal: request.endsWithParent ? SIGKILL : 0
        )
        return unsafe CHostShims_spawn(&shim, &child)
      }
    }
  }
}

/// A NULL-terminated array of C strings; `free` releases it.
@safe
private struct CStringArray {
  let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  init(_ strings: [String]) {
    unsafe pointer = .allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() {
      unsafe (pointer + index).initialize(to: strdup(string))
    }
    unsafe (pointer + strings.count).initialize(to: nil)
  }

  func free() {
    var item = unsafe pointer
    while let string = unsafe item.pointee {
      unsafe Glibc.free(string)
      unsafe item += 1
    }
    unsafe pointer.deallocate()
  }
}
