// Many threads at one `Mutex`, and with the argument `race` at a value beside it that no lock guards.
import Dispatch
import Synchronization

final class Shared: Sendable {
  let guarded = Mutex<[Int]>([])
  nonisolated(unsafe) var bare = 0
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
