/// The part of a request's body that came and was not read yet, and the rules for more of it.
struct UploadBuffer {
  enum Mode {
    case collecting, streaming, discarding
  }

  enum Verdict: Equatable {
    case goOn
    /// Enough is waiting; hold the client back.
    case holdBack
    /// The body just went over its limit; what follows is thrown away.
    case tooLarge
    /// Too much was thrown away; cut the client off.
    case cutOff
  }

  static let highWater = 256 << 10

  let limit: Int
  let discardLimit: Int
  private(set) var mode: Mode
  private(set) var received = 0
  private var discarded = 0
  private(set) var bytes: [UInt8] = []

  init(mode: Mode, limit: Int, discardLimit: Int) {
    self.mode = mode
    self.limit = limit
    self.discardLimit = discardLimit
  }

  /// Takes all of `chunk`.
  mutating func receive(_ chunk: UnsafeRawBufferPointer) -> Verdict {
    received += chunk.count
    if mode != .discarding, received > limit {
      discard()
      discarded = chunk.count
      return .tooLarge
    }
    switch mode {
    case .discarding:
      discarded += chunk.count
      return discarded > discardLimit ? .cutOff : .goOn
    case .collecting:
      unsafe bytes.append(contentsOf: chunk)
      return .goOn
    case .streaming:
      unsafe bytes.append(contentsOf: chunk)
      return bytes.count >= Self.highWater ? .holdBack : .goOn
    }
  }

  /// Throws away what is waiting and what will come.
  mutating func discard() {
    mode = .discarding
    bytes = []
  }

  /// Hands out everything that waits.
  mutating func take() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }
}
