import PluginManifest

#if DEBUG
import Glibc
import Synchronization
#endif

/// The moments of an outside request at which the end of the process leaves different things behind.
///
/// A debug build can be told to end or to stop at one of them; a release build has nothing but the names.
enum CrashPoint: String {
  /// The started row is durable; nothing was sent.
  case beforeSend
  /// The whole answer was read; nothing of it is stored.
  case beforeStore
  /// The outcome is stored; the plugin has not heard of it.
  case beforeAnswer

  /// Notes that a request of the class is at this moment.
  func pass(_ effectClass: EffectClass) {
    #if DEBUG
    CrashPlan.current?.strike(rawValue, effectClass.rawValue)
    #endif
  }
}

/// The moments of a renewal at which the end of the process leaves different things behind; of class `renewal`.
enum RenewalCrashPoint: String {
  /// The lease is taken; the row does not say yet that a request leaves.
  case beforeJournal
  /// The row says so; nothing was sent.
  case beforeSend
  /// The answer was read; nothing of it is stored.
  case beforeStore
  /// The answer is on this host's disk alone.
  case afterSpool
  /// The answer is stored, and still on the disk.
  case afterStore

  func pass() {
    #if DEBUG
    CrashPlan.current?.strike(rawValue, "renewal")
    #endif
  }
}

#if DEBUG
/// What `CRASH_POINT_FOR_TESTS` asks for: `<class>.<moment>:<number>:<kill|stop>`, such as `commit.beforeSend:3:kill`.
///
/// At the moment's third pass the process gets SIGKILL, or stops until somebody sends SIGCONT.
private final class CrashPlan: Sendable {
  static let current = CrashPlan()

  private let place: String
  private let signal: Int32
  private let left: Atomic<Int>

  private init?() {
    guard let text = unsafe getenv("CRASH_POINT_FOR_TESTS") else { return nil }
    let parts = unsafe String(cString: text).split(separator: ":").map(String.init)
    guard parts.count == 3, let number = Int(parts[1]), number > 0, ["kill", "stop"].contains(parts[2]) else {
      return nil
    }
    place = parts[0]
    signal = parts[2] == "kill" ? SIGKILL : SIGSTOP
    left = Atomic(number)
  }

  func strike(_ moment: String, _ effectClass: String) {
    guard place == "\(effectClass).\(moment)" else { return }
    guard left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    kill(getpid(), signal)
  }
}
#endif
