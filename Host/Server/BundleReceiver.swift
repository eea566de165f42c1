internal import Dispatch
internal import HTTPClient
internal import PluginStore
internal import Synchronization

/// Writes a bundle to its file while it is downloaded.
///
/// The disk works on a queue of its own; when it falls behind, reading from the network waits.
final class BundleReceiver: ResponseReceiver {
  private struct State {
    var control: TransferControl?
    var received: Int64 = 0
    /// Bytes on their way to the disk.
    var waiting = 0
    var isHeld = false
    var isTooLarge = false
    var failure: StoreError?
  }

  /// So many bytes may wait for the disk.
  private static let room = 4 << 20

  // Touched on the queue alone, by one block after the other.
  private nonisolated(unsafe) let file: IncomingBundle
  private let limit: Int64
  private let queue = DispatchQueue(label: "bundle-download")
  private let state = Mutex(State())

  /// - Parameters:
  ///   - file: Used by nobody else before ``finish()`` has returned.
  ///   - limit: The most bytes that are written.
  init(file: IncomingBundle, limit: Int64 = IncomingBundle.maximumBytes) {
    unsafe self.file = file
    self.limit = limit
  }

  func begin(status: Int, headers: ResponseHeaders, control: TransferControl) -> Bool {
    guard status == 200 else { return false }
    state.withLock { $0.control = control }
    return true
  }

  func take(_ bytes: [UInt8]) -> ResponseIntake {
    let intake = state.withLock { state -> ResponseIntake in
      if state.failure != nil { return .stop }
      if state.waiting > 0, state.waiting + bytes.count > Self.room {
        state.isHeld = true
        return .later
      }
      guard Int64(bytes.count) <= limit - state.received else {
        state.isTooLarge = true
        return .stop
      }
      state.received += Int64(bytes.count)
      state.waiting += bytes.count
      return .taken
    }
    if case .taken = intake { queue.async { self.write(bytes) } }
    return intake
  }

  private func write(_ bytes: [UInt8]) {
    var failure: StoreError?
    do throws(StoreError) { unsafe try file.append(bytes) } catch { failure = error }
    let resume = state.withLock { state -> TransferControl? in
      state.failure = state.failure ?? failure
      state.waiting -= bytes.count
      guard state.isHeld, state.waiting == 0 || state.failure != nil else { return nil }
      state.isHeld = false
      return state.control
    }
    resume?.resume()
  }

  /// Whether more came than the limit allows.
  var isTooLarge: Bool { state.withLock { $0.isTooLarge } }

  /// Waits until everything that was taken lies in the file.
  ///
  /// - Throws: Why it does not.
  func finish() async throws(StoreError) {
    await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }
}
