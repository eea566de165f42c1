internal import CCurl
internal import Glibc
internal import Synchronization

/// The thread that owns the library's multi handle and every transfer.
///
/// Sendable because other threads touch only `inbox` and, under its lock, the handle's wake-up function, which the
/// library allows from anywhere; all else is used on the loop's thread alone.
@safe final class TransferLoop: @unchecked Sendable {
  private struct Inbox {
    var submissions: [Submission] = []
    /// What receivers want of transfers, by the transfers' numbers.
    var commands: [(number: UInt64, command: TransferControl.Command)] = []
    var stopAt: ContinuousClock.Instant?
    var ended = false
    var endWaiters: [CheckedContinuation<Void, Never>] = []
  }

  private let inbox = Mutex(Inbox())
  private let configuration: HTTPClient.Configuration
  private let multi: UnsafeMutableRawPointer

  // Owns every transfer in use, because the library holds bare pointers to them.
  private var active: [ObjectIdentifier: Transfer] = [:]
  private var free: [Transfer] = []
  private let sockets = SocketTable()
  private var waiting: [Submission] = []
  private var waitingIndex = 0
  private var lastNumber: UInt64 = 0

  static let isLibraryStarted = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
  private static let maximumFree = 256

  init(configuration: HTTPClient.Configuration) throws(HTTPClientError) {
    guard Self.isLibraryStarted, let multi = unsafe curl_multi_init() else {
      throw .startFailed("the library does not start")
    }
    let idle = max(1, configuration.maximumIdleConnections)
    guard unsafe CCurl_setMultiLong(multi, CURLMOPT_MAXCONNECTS, idle) == CURLM_OK else {
      unsafe curl_multi_cleanup(multi)
      throw .startFailed("the library refuses its options")
    }
    unsafe self.multi = multi
    self.configuration = configuration
  }

  deinit {
    // Freed handles take their connections with them only while the multi handle lives.
    active = [:]
    free = []
    unsafe curl_multi_cleanup(multi)
  }

  /// Starts the thread, which keeps the loop alive until it has been stopped.
  func start() throws(HTTPClientError) {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(self)
    let result = unsafe pthread_create(&thread, nil, runTransferLoop, context.toOpaque())
    guard result == 0 else {
      unsafe context.release()
      throw .startFailed("no thread (error \(result))")
    }
    pthread_detach(thread)
  }

  /// Hands a request to the thread; the first of several wakes it.
  func submit(_ submission: Submission) {
    let accepted = inbox.withLock { inbox in
      guard inbox.stopAt == nil else { return false }
      inbox.submissions.append(submission)
      if inbox.submissions.count == 1 { wake() }
      return true
    }
    if !accepted { submission.continuation.resume(returning: Self.refusal) }
  }

  /// Takes no more requests and gives up open ones at `deadline`; an earlier deadline stays.
  func stop(at deadline: ContinuousClock.Instant) {
    inbox.withLock { inbox in
      guard !inbox.ended else { return }
      inbox.stopAt = min(inbox.stopAt ?? deadline, deadline)
      wake()
    }
  }

  /// Returns when the thread has ended.
  func finished() async {
    await withCheckedContinuation { continuation in
      let ended = inbox.withLock { inbox in
        if !inbox.ended { inbox.endWaiters.append(continuation) }
        return inbox.ended
      }
      if ended { continuation.resume() }
    }
  }

  /// Hands a receiver's wish to the thread.
  private func steer(_ number: UInt64, _ command: TransferControl.Command) {
    inbox.withLock { inbox in
      guard !inbox.ended else { return }
      inbox.commands.append((number, command))
      if inbox.commands.count == 1 { wake() }
    }
  }

  private func wake() {
    unsafe curl_multi_wakeup(multi)
  }

  private static let refusal = Outcome.notSent(
    Outcome.NotSent(reason: .shuttingDown, detail: "The client is shutting down")
  )
}

// MARK: - On the thread

extension TransferLoop {
  /// Works until stopped.
  fileprivate func run() {
    while true {
      let (submissions, commands, stopAt) = inbox.withLock { inbox in
        defer {
          inbox.submissions = []
          inbox.commands = []
        }
        return (inbox.submissions, inbox.commands, inbox.stopAt)
      }
      for (number, command) in commands { obey(command, number) }
      waiting.append(contentsOf: submissions)
      startWaiting()
      var running: Int32 = 0
      unsafe curl_multi_perform(multi, &running)
      collect()
      if let stopAt, active.isEmpty && waitingIndex == waiting.count || ContinuousClock.now >= stopAt { break }
      // Ended transfers may have made room; then there is work to do before waiting.
      if waitingIndex < waiting.count, active.count < configuration.maximumConcurrentRequests { continue }
      unsafe curl_multi_poll(multi, nil, 0, pollTimeout(until: stopAt), nil)
    }
    giveUp()
  }

  private func pollTimeout(until stopAt: ContinuousClock.Instant?) -> Int32 {
    guard let stopAt else { return 60_000 }
    let (seconds, attoseconds) = (stopAt - .now).components
    return Int32(clamping: min(60, max(0, seconds)) * 1_000 + attoseconds / 1_000_000_000_000_000 + 1)
  }

  private func startWaiting() {
    while waitingIndex < waiting.count, active.count < max(1, configuration.maximumConcurrentRequests) {
      let submission = waiting[waitingIndex]
      waitingIndex += 1
      start(submission)
    }
    if waitingIndex == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      waitingIndex = 0
    }
  }

  private func start(_ submission: Submission) {
    let steer: @Sendable (UInt64, TransferControl.Command) -> Void = { [weak self] in self?.steer($0, $1) }
    lastNumber += 1
    guard
      let transfer = free.popLast() ?? Transfer(configuration: configuration, sockets: sockets, steer: steer)
    else {
      let failure = Outcome.NotSent(reason: .libraryFailure, detail: "No memory for a handle")
      submission.continuation.resume(returning: .notSent(failure))
      return
    }
    guard transfer.begin(submission, number: lastNumber), unsafe curl_multi_add_handle(multi, transfer.easy) == CURLM_OK
    else {
      end(transfer, code: CURLE_FAILED_INIT)
      return
    }
    active[ObjectIdentifier(transfer)] = transfer
  }

  /// Does what a receiver wants of its transfer, if that is still in flight.
  private func obey(_ command: TransferControl.Command, _ number: UInt64) {
    guard let transfer = active.values.first(where: { $0.number == number }) else { return }
    switch command {
    case .resume:
      // A failure shows as the end of the transfer, which `collect` finds.
      unsafe curl_easy_pause(transfer.easy, CURLPAUSE_CONT)
    case .stop:
      unsafe curl_multi_remove_handle(multi, transfer.easy)
      active[ObjectIdentifier(transfer)] = nil
      end(transfer, code: CURLE_ABORTED_BY_CALLBACK, stopped: true)
    }
  }

  private func collect() {
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
      let code = unsafe message.pointee.data.result
      var context: UnsafeMutableRawPointer?
      guard unsafe CCurl_getPointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &context) == CURLE_OK,
        let context = unsafe context
      else { continue }
      let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
      unsafe curl_multi_remove_handle(multi, transfer.easy)
      if transfer.renew(), unsafe curl_multi_add_handle(multi, transfer.easy) == CURLM_OK { continue }
      active[ObjectIdentifier(transfer)] = nil
      end(transfer, code: code)
    }
  }

  private func end(_ transfer: Transfer, code: CURLcode, shuttingDown: Bool = false, stopped: Bool = false) {
    let ended = transfer.finish(code, shuttingDown: shuttingDown, stopped: stopped)
    if free.count < Self.maximumFree { free.append(transfer) }
    if let ended { ended.submission.continuation.resume(returning: ended.outcome) }
  }

  /// Ends everything that is left and tells those who wait for the end.
  private func giveUp() {
    for transfer in active.values {
      unsafe curl_multi_remove_handle(multi, transfer.easy)
      end(transfer, code: CURLE_ABORTED_BY_CALLBACK, shuttingDown: true)
    }
    active = [:]
    let late = inbox.withLock { inbox in
      inbox.ended = true
      return (inbox.submissions, inbox.endWaiters)
    }
    for submission in waiting[waitingIndex...] + late.0 { submission.continuation.resume(returning: Self.refusal) }
    waiting = []
    waitingIndex = 0
    for waiter in late.1 { waiter.resume() }
  }
}

/// The thread's body.
@unsafe private func runTransferLoop(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context = unsafe context else { return nil }
  let loop = unsafe Unmanaged<TransferLoop>.fromOpaque(context).takeRetainedValue()
  // Signals belong to other threads; a broken pipe shows as an error of the write.
  var signals = sigset_t()
  unsafe sigfillset(&signals)
  unsafe pthread_sigmask(SIG_SETMASK, &signals, nil)
  loop.run()
  return nil
}
