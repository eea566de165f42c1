// Many threads at one `Mutex`, and values handed over by continuations that are resumed before and after the task waits;
// with the argument `race` also a value beside them that nothing guards.
import Dispatch
import Synchronization

final class Shared: Sendable {
  let guarded = Mutex<[Int]>([])
  nonisolated(unsafe) var bare = 0
}

final class Parcel {
  var content = 0
}

func receive(early: Bool) async {
  let (delivered, queue) = (DispatchSemaphore(value: 0), DispatchQueue(label: "sender"))
  for number in 1...50 {
    nonisolated(unsafe) let parcel: Parcel = await withCheckedContinuation { continuation in
      queue.async {
        nonisolated(unsafe) let parcel = Parcel()
        parcel.content = number
        // A wait of the sender lets the task suspend first; a signal after the resume lets it come too late for that.
        if !early { _ = delivered.wait(timeout: .now() + .milliseconds(2)) }
        continuation.resume(returning: parcel)
        if early { delivered.signal() }
      }
      if early { delivered.wait() }
    }
    parcel.content += 1
  }
}

let shared = Shared()
let races = CommandLine.arguments.contains("race")
DispatchQueue.concurrentPerform(iterations: 8) { _ in
  for number in 0..<20_000 {
    shared.guarded.withLock { values in
      values.append(number)
      if values.count > 1_000 { values = [] }
    }
    if races { shared.bare += 1 }
  }
}
for early in [true, false] { await receive(early: early) }
