import JSONText
import PluginKit
import PluginProtocol
import Synchronization

/// The streams of a test host: sends events as far as there is room, numbered, and the end once.
final class KitStreams: Sendable {
  typealias Send = @Sendable (StreamNotification) -> Void

  /// What a stream is going to bring.
  struct Content: Sendable {
    var events: [StreamNotification.Event]
    /// Why it ends when all events were sent.
    var end = "complete"
    var usage: RawJSON?
  }

  private struct Stream {
    let call: String
    var content: Content
    var rest: ArraySlice<StreamNotification.Event>
    /// Nil until the answer that names the stream has left.
    var send: Send?
    var roomEvents = 64
    var roomBytes = 256 << 10
    var sequence: Int64 = 0
    var events: Int64 = 0
    var bytes: Int64 = 0
  }

  private struct State {
    var last = 0
    var streams: [String: Stream] = [:]
  }

  /// Events of one message.
  private static let batch = 16
  /// The longest data of one event; what is longer goes on in the next.
  private static let pieceBytes = 16 << 10
  private let state = Mutex(State())

  /// Makes a stream; nothing is sent before ``begin(_:_:)``.
  func open(_ content: Content, for call: String) -> String {
    let pieces = content.events.flatMap(Self.pieces)
    return state.withLock { state in
      state.last += 1
      let id = "s\(state.last)"
      state.streams[id] = Stream(call: call, content: content, rest: pieces[...])
      return id
    }
  }

  /// The answer that names the stream has left.
  func begin(_ id: String, _ send: @escaping Send) {
    state.withLock { state in
      state.streams[id]?.send = send
      Self.pump(id, &state)
    }
  }

  /// Makes room.
  ///
  /// - Throws: When there never was such a stream, or it is another call's.
  func credit(_ request: CreditHTTPStreamRequest) throws(ProtocolError) {
    try change(request.stream, of: request.call) { stream in
      stream.roomEvents = min(stream.roomEvents + Int(min(max(request.events, 0), 1 << 20)), 1 << 20)
      stream.roomBytes = min(stream.roomBytes + Int(min(max(request.bytes, 0), 1 << 30)), 1 << 30)
    }
  }

  /// Ends a stream early.
  ///
  /// - Throws: As ``credit(_:)``.
  func close(_ request: CloseHTTPStreamRequest) throws(ProtocolError) {
    try change(request.stream, of: request.call) { stream in Self.cut(&stream, "closed") }
  }

  /// Ends what a call left open.
  func endCall(_ call: String) {
    state.withLock { state in
      for (id, stream) in state.streams where stream.call == call {
        if var stream = state.streams[id] {
          Self.cut(&stream, "cancelled")
          state.streams[id] = stream
        }
        Self.pump(id, &state)
      }
    }
  }

  private func change(_ id: String, of call: String, _ body: (inout Stream) -> Void) throws(ProtocolError) {
    let isKnown = state.withLock { state in
      // Its end may be on its way already.
      guard var stream = state.streams[id] else { return Self.number(id).map { $0 <= state.last } ?? false }
      guard stream.call == call else { return false }
      body(&stream)
      state.streams[id] = stream
      Self.pump(id, &state)
      return true
    }
    if !isKnown { throw ProtocolError(.invalidParams, "the call has no stream \(id)", field: "stream") }
  }

  private static func number(_ id: String) -> Int? {
    id.hasPrefix("s") ? Int(id.dropFirst()).flatMap { $0 > 0 ? $0 : nil } : nil
  }

  private static func cut(_ stream: inout Stream, _ reason: String) {
    stream.rest = []
    stream.content.end = reason
    stream.content.usage = nil
  }

  /// Sends what there is room for. Under the lock, so that messages leave in the order of their numbers.
  private static func pump(_ id: String, _ state: inout State) {
    guard var stream = state.streams[id], let send = stream.send else { return }
    while !stream.rest.isEmpty, stream.roomEvents > 0, stream.roomBytes > 0 {
      var events: [StreamNotification.Event] = []
      while let event = stream.rest.first, events.count < batch, stream.roomEvents > 0, stream.roomBytes > 0 {
        stream.rest.removeFirst()
        let bytes = event.data.utf8.count + event.event.utf8.count + (event.id?.utf8.count ?? 0) + 32
        stream.roomBytes -= bytes
        if !event.more { stream.roomEvents -= 1 }
        stream.events += event.more ? 0 : 1
        stream.bytes += Int64(event.data.utf8.count)
        events.append(event)
      }
      stream.sequence += 1
      send(StreamNotification(stream: id, seq: stream.sequence, events: events))
    }
    guard stream.rest.isEmpty else {
      state.streams[id] = stream
      return
    }
    let end = StreamNotification.End(
      reason: stream.content.end,
      events: stream.events,
      bytes: stream.bytes,
      usage: stream.content.usage
    )
    send(StreamNotification(stream: id, seq: stream.sequence + 1, end: end))
    state.streams[id] = nil
  }

  private static func pieces(of event: StreamNotification.Event) -> [StreamNotification.Event] {
    guard event.data.utf8.count > pieceBytes else { return [event] }
    var pieces: [StreamNotification.Event] = []
    var piece = ""
    for scalar in event.data.unicodeScalars {
      if piece.utf8.count + 4 > pieceBytes {
        pieces.append(StreamNotification.Event(event: event.event, data: piece, id: event.id, more: true))
        piece = ""
      }
      piece.unicodeScalars.append(scalar)
    }
    pieces.append(StreamNotification.Event(event: event.event, data: piece, id: event.id))
    return pieces
  }

  // MARK: Server-sent events

  /// Reads the body of an answer of type `text/event-stream`.
  static func events(in text: String) -> [StreamNotification.Event] {
    var events: [StreamNotification.Event] = []
    var (name, data, id): (String, [Substring], String?) = ("", [], nil)
    let lines = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    for line in lines.split(separator: "\n", omittingEmptySubsequences: false) {
      guard !line.isEmpty else {
        if !data.isEmpty {
          let whole = data.joined(separator: "\n")
          events.append(StreamNotification.Event(event: name.isEmpty ? "message" : name, data: whole, id: id))
        }
        (name, data, id) = ("", [], nil)
        continue
      }
      let field = line.prefix { $0 != ":" }
      var value = line.dropFirst(field.count + 1)
      if value.hasPrefix(" ") { value = value.dropFirst() }
      switch field {
      case "event": name = String(value)
      case "data": data.append(value)
      case "id": id = String(value)
      default: break
      }
    }
    return events
  }

  /// The last value at the pointer in the events' data.
  static func usage(_ pointer: String?, in events: [StreamNotification.Event]) -> RawJSON? {
    guard let pointer else { return nil }
    for event in events.reversed() {
      // Events that are no JSON have no usage.
      if let found = (try? RawJSON(text: event.data))?.pointer(pointer) { return found }
    }
    return nil
  }
}
