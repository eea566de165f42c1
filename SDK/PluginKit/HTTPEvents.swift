public import JSONText
public import PluginProtocol

/// The events of one HTTP answer as they arrive.
///
/// To be read by one task, once. Leaving the loop early closes the stream at the host.
public final class HTTPEvents: AsyncSequence, Sendable {
  /// One server-sent event.
  public struct Event: Sendable, Equatable {
    /// The event's type; `message` unless the server named one.
    public var name: String
    /// Its data.
    public var data: String
    /// Its id, if this very event brought one.
    public var id: String?

    /// Makes an event, for tests.
    public init(name: String = "message", data: String, id: String? = nil) {
      self.name = name
      self.data = data
      self.id = id
    }
  }

  /// What the loop brings: events, then the end.
  public enum Element: Sendable, Equatable {
    case event(Event)
    /// The last element. `usage` is what the rule's pointer found.
    case end(reason: String, usage: RawJSON?)
  }

  /// HTTP status.
  public let status: Int
  /// The headers the rule exposes, names in lower case.
  public let headers: [String: String]
  private let stream: String
  private let host: HostServices
  private let inbox: StreamInbox

  init(stream: String, answer: HTTPAnswer, host: HostServices, inbox: StreamInbox) {
    status = answer.status
    headers = answer.headers
    self.stream = stream
    self.host = host
    self.inbox = inbox
  }

  /// Starts reading.
  public func makeAsyncIterator() -> Iterator {
    Iterator(stream: stream, host: host, inbox: inbox)
  }

  /// Reads a stream and makes room at the host for more.
  public struct Iterator: AsyncIteratorProtocol {
    private let stream: String
    private let host: HostServices
    private let inbox: StreamInbox
    private let guardian: StreamGuard
    private var events: ArraySlice<StreamNotification.Event> = []
    private var end: StreamNotification.End?
    private var sequence: Int64 = 0
    private var isOver = false
    private var takenEvents: Int64 = 0
    private var takenBytes: Int64 = 0

    init(stream: String, host: HostServices, inbox: StreamInbox) {
      self.stream = stream
      self.host = host
      self.inbox = inbox
      guardian = StreamGuard(stream: stream, host: host)
    }

    /// Waits for the next element; nil behind the end.
    ///
    /// - Throws: `cancelled` if the task was cancelled, or what the host says.
    public mutating func next() async throws(PlatformError) -> Element? {
      var whole = ""
      while !isOver {
        if let event = events.popFirst() {
          whole += event.data
          takenBytes += Int64(event.data.utf8.count + event.event.utf8.count + (event.id?.utf8.count ?? 0) + 32)
          if event.more { continue }
          takenEvents += 1
          try await makeRoom()
          return .event(Event(name: event.event, data: whole, id: event.id))
        }
        if let end {
          isOver = true
          guardian.ended()
          return .end(reason: end.reason, usage: end.usage)
        }
        try await makeRoom()
        guard let message = await inbox.next() else { throw PlatformError(.cancelled, "the call was canceled") }
        sequence += 1
        guard message.seq == sequence else {
          throw PlatformError(.protocolViolation, "message \(sequence) of a stream is missing")
        }
        events = message.events[...]
        end = message.end
      }
      return nil
    }

    /// Half of what a stream begins with, so that the host never has to wait for a reader that keeps up.
    private mutating func makeRoom() async throws(PlatformError) {
      guard takenEvents >= 32 || takenBytes >= 128 << 10 else { return }
      let (events, bytes) = (takenEvents, takenBytes)
      (takenEvents, takenBytes) = (0, 0)
      try await host.credit(stream, events: events, bytes: bytes)
    }
  }
}

/// Closes a stream that is no longer read.
private final class StreamGuard: Sendable {
  private let stream: String
  private let host: HostServices

  init(stream: String, host: HostServices) {
    self.stream = stream
    self.host = host
  }

  /// The host has told the end by itself.
  func ended() { host.forget(stream) }

  deinit {
    host.abandon(stream)
  }
}
