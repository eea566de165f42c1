internal import Glibc
internal import Synchronization

/// Starts programs from one thread that lasts as long as they do, and reaps them.
///
/// One thread, because the kernel's parent-death signal goes off when the *thread* that started a child ends. The
/// same thread waits for the ends of the children by their pid descriptors.
package final class Spawner: Sendable {
  private let thread: SpawnerThread

  /// Starts the thread, and makes writes to broken pipes return an error in the whole process instead of ending it.
  package init() throws(SpawnError) {
    _ = signal(SIGPIPE, SIG_IGN)
    let wake = try OwnedDescriptor.makePipe()
    wake.read.makeNonBlocking()
    wake.write.makeNonBlocking()
    thread = SpawnerThread(wakeRead: wake.read, wakeWrite: wake.write)
    try thread.start()
  }

  deinit {
    thread.stop()
  }

  /// Starts a program.
  ///
  /// Returns when the program's image runs, so a missing file or a missing right is an error here.
  package func spawn(_ request: SpawnRequest) async throws(SpawnError) -> ChildProcess {
    // Reported exactly once, so nothing has to check it. This form is compiled into our code, where the thread sanitizer
    // can be told of a child that is there before the task waits for it (docs/decisions/0025).
    let result = unsafe await withUnsafeContinuation { continuation in
      spawn(request) { unsafe continuation.resume(returning: $0) }
    }
    return try result.get()
  }

  /// Starts a program and reports on the spawner's thread, which the closure must not hold up.
  package func spawn(
    _ request: SpawnRequest,
    then report: @escaping @Sendable (Result<ChildProcess, SpawnError>) -> Void
  ) {
    thread.submit(SpawnerThread.Work(request: request, report: report))
  }
}

/// The thread's queue and loop.
private final class SpawnerThread: Sendable {
  struct Work: Sendable {
    let request: SpawnRequest
    let report: @Sendable (Result<ChildProcess, SpawnError>) -> Void
  }

  private let queue = Mutex<[Work]>([])
  private let mayStop = Atomic(false)
  private let wakeRead: OwnedDescriptor
  private let wakeWrite: OwnedDescriptor

  init(wakeRead: OwnedDescriptor, wakeWrite: OwnedDescriptor) {
    self.wakeRead = wakeRead
    self.wakeWrite = wakeWrite
  }

  func start() throws(SpawnError) {
    try LastingThread.start(name: "spawner") { self.run() }
  }

  func submit(_ work: Work) {
    queue.withLock { $0.append(work) }
    wake()
  }

  /// Lets the thread end as soon as no child is left, whom its end would kill.
  func stop() {
    mayStop.store(true, ordering: .releasing)
    wake()
  }

  private func wake() {
    // A full pipe is a wake-up that is on its way already.
    _ = wakeWrite.write([1])
  }

  func run() {
    var children: [ChildProcess] = []
    var entries: [pollfd] = []
    var sink = [UInt8](repeating: 0, count: 64)
    guard let wake = wakeRead.rawValue else { return }
    while !(children.isEmpty && mayStop.load(ordering: .acquiring) && queue.withLock(\.isEmpty)) {
      entries.removeAll(keepingCapacity: true)
      entries.append(pollfd(fd: wake, events: Int16(POLLIN), revents: 0))
      entries.append(contentsOf: children.map { pollfd(fd: $0.pidDescriptor, events: Int16(POLLIN), revents: 0) })
      unsafe poll(&entries, nfds_t(entries.count), -1)
      var kept: [ChildProcess] = []
      for (child, entry) in zip(children, entries.dropFirst()) {
        if entry.revents == 0 || !child.reapIfEnded() {
          kept.append(child)
        }
      }
      children = kept
      while unsafe read(wake, &sink, sink.count) > 0 {}
      let work = queue.withLock { queue in
        defer { queue = [] }
        return queue
      }
      for item in work {
        let result = launch(item.request)
        if case .success(let child) = result {
          children.append(child)
        }
        item.report(result)
      }
    }
  }

  private func launch(_ request: SpawnRequest) -> Result<ChildProcess, SpawnError> {
    Result { () throws(SpawnError) in try Launch(request).run() }
  }
}
