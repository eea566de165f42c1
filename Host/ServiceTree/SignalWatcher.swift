internal import Dispatch
internal import Glibc
internal import Logging

/// A service that ends when the process gets a signal, which stops its group.
///
/// Put it first, so that it is stopped last. From its creation on the signals no longer end the process; after the
/// first one they do again, so that a second Ctrl-C works while a shutdown hangs.
package final class SignalWatcher: Service {
  package let name = "signals"

  private let numbers: [Int32]
  private let received = Signal()
  // Written once in `init`; afterwards only `cancel` is called, which dispatch allows on any thread.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]
  private let queue = DispatchQueue(label: "signals")

  package init(signals: [Int32] = [SIGTERM, SIGINT]) {
    numbers = signals
    let queue = queue
    let received = received
    unsafe sources = signals.map { number in
      // The source sees the signal although it is ignored; without this the process would end.
      _ = signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      SignalWatcher.install(on: source, raising: received)
      source.activate()
      return source
    }
  }

  deinit {
    for source in unsafe sources {
      source.cancel()
    }
  }

  package func run() async throws {
    let shutdown = Shutdown.current
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.received.wait() }
      group.addTask { await shutdown.requested() }
      await group.next()
      group.cancelAll()
    }
    if received.isRaised {
      Logger.current.notice("Got a signal and shuts down")
      for number in numbers {
        _ = signal(number, SIG_DFL)
      }
    }
  }

  // A separate function, so that the handler inherits no isolation and may run on the dispatch queue's thread.
  private static func install(on source: any DispatchSourceSignal, raising received: Signal) {
    source.setEventHandler { @Sendable in received.raise() }
  }
}
