public import JSONText
import Synchronization

/// Everything that a host and an adapter said to each other. A text of one JSON object a line: a head, then the frames.
///
/// Frames hold no secret: the host puts secrets into requests after the adapter asked, and takes them out of answers.
public struct Cassette: Sendable {
  /// Value of the head's `schema`.
  public static let schema = "rostrum-cassette/1"

  /// One frame.
  public struct Entry: Sendable {
    /// Whether it went to the adapter.
    public let toAdapter: Bool
    /// Milliseconds since the first frame.
    public let milliseconds: Int64
    /// The frame.
    public let frame: RawJSON
  }

  /// Id of the plugin.
  public let plugin: String
  /// Version of the plugin.
  public let version: String
  /// The frames in order.
  public let entries: [Entry]

  /// Reads a cassette.
  ///
  /// - Throws: what is missing or of another type, with the number of the line.
  public init(_ bytes: [UInt8]) throws(JSONTextError) {
    var lines = bytes.split(separator: 0x0A).makeIterator()
    guard let first = lines.next() else { throw JSONTextError(.unexpectedEnd, at: 0) }
    let head = try RawJSON(Array(first)).object()
    guard try head.string("schema") == Self.schema else { throw JSONTextError(.wrongType, at: 0, field: "schema") }
    plugin = try head.string("plugin")
    version = try head.string("version")
    var entries: [Entry] = []
    while let line = lines.next() {
      do throws(JSONTextError) {
        let object = try RawJSON(Array(line), maximumDepth: 80).object()
        entries.append(
          Entry(
            toAdapter: try object.string("to") == "adapter",
            milliseconds: try object.int64("ms"),
            frame: try object.value("frame")
          )
        )
      } catch {
        throw error.naming("line \(entries.count + 2)")
      }
    }
    self.entries = entries
  }
}

/// Collects the frames of one conversation.
public final class CassetteRecorder: Sendable {
  private struct State {
    var lines: [UInt8]
    var began: ContinuousClock.Instant?
  }

  private let state: Mutex<State>

  /// Begins an empty cassette.
  public init(_ manifest: AdapterManifest) {
    let head = RawJSON.object { writer in
      writer.field("schema", Cassette.schema)
      writer.field("plugin", manifest.id)
      writer.field("version", manifest.version)
    }
    state = Mutex(State(lines: Array(head.bytes) + [0x0A]))
  }

  /// The cassette so far, as the bytes of its file.
  public var bytes: [UInt8] { state.withLock { $0.lines } }

  /// Adds a frame; what is no JSON is left out.
  public func take(_ frame: ArraySlice<UInt8>, toAdapter: Bool) {
    guard let json = try? RawJSON(Array(frame)) else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      let began = state.began ?? now
      state.began = began
      let (seconds, attoseconds) = (now - began).components
      var writer = JSONWriter(capacity: frame.count + 64)
      writer.object { writer in
        writer.field("to", toAdapter ? "adapter" : "host")
        writer.field("ms", seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        writer.field("frame", json)
      }
      writer.endLine()
      state.lines += writer.bytes
    }
  }
}
