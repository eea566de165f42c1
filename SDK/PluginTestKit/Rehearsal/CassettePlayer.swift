import JSONText
import PluginProtocol
import PluginTransport

/// Plays the host's side of a cassette to an adapter and compares what the adapter says.
public struct CassettePlayer: Sendable {
  private let launch: AdapterLaunch
  private let cassette: Cassette

  /// Prepares a play.
  public init(launch: AdapterLaunch, cassette: Cassette) {
    self.launch = launch
    self.cassette = cassette
  }

  /// A request of the adapter: what it asks, whatever its number.
  private struct Request: Hashable {
    let method: String
    let params: String

    init(_ method: String, _ params: RawJSON) {
      self.method = method
      self.params = params.canonical().text
    }
  }

  /// Plays to the end.
  ///
  /// - Returns: where the adapter said something else; empty if it said the same.
  public func run() async -> [String] {
    let process: AdapterProcess
    do { process = try AdapterProcess(launch, handlers: nil) } catch { return ["\(error)"] }
    /// Numbers of the adapter's requests in the cassette, and those of now.
    var asked: [Int64: Request] = [:]
    var numbers: [Int64: Int64] = [:]
    var taken: Set<Int> = []
    var differences: [String] = []
    for (index, entry) in cassette.entries.enumerated() {
      guard let envelope = try? Envelope(entry.frame) else { continue }
      let place = "line \(index + 2)"
      switch (envelope, entry.toAdapter) {
      case (.request, true), (.notification, true): process.send(Array(entry.frame.bytes) + [0x0A])
      case (.response(let id, let result), true):
        process.send(Frame.response(id: numbers[id] ?? id, result: result))
      case (.failure(let id?, let error), true):
        process.send(Frame.failure(id: numbers[id] ?? id, error: error))
      case (.request(let id, let method, let params), false):
        let request = Request(method, params)
        asked[id] = request
        let known = taken
        let found: (Int, Int64)? = await process.first { output in
          for (position, frame) in output.frames.enumerated() where !known.contains(position) {
            guard case .request(let live, let name, let given)? = try? Envelope(frame) else { continue }
            if Request(name, given) == request { return (position, live) }
          }
          return nil
        }
        guard let found else { return differences + ["\(place): did not ask for \(method) \(request.params)"] }
        taken.insert(found.0)
        numbers[id] = found.1
      case (.response(let id, let result), false):
        let answer = await Self.answer(id, process)
        if answer != .success(result.canonical().text) {
          differences.append("\(place): answered \(Self.text(answer)), in the cassette \(result.text)")
        }
      case (.failure(let id?, let error), false):
        let answer = await Self.answer(id, process)
        if answer != .failure(ProtocolError(error.kind, "")) {
          differences.append("\(place): answered \(Self.text(answer)), in the cassette \(error)")
        }
      default: continue
      }
    }
    let extra = process.current.frames.enumerated().compactMap { position, frame -> String? in
      guard !taken.contains(position), case .request(_, let method, let params)? = try? Envelope(frame) else {
        return nil
      }
      return "asked for \(method) \(params.text), which is not in the cassette"
    }
    return differences + extra
  }

  /// The answer to a request of the host: the result's text, or the kind of the error.
  private static func answer(_ id: Int64, _ process: AdapterProcess) async -> Result<String, ProtocolError>? {
    await process.first { output in
      for frame in output.frames {
        switch try? Envelope(frame) {
        case .response(id, let result)?: return .success(result.canonical().text)
        case .failure(id, let error)?: return .failure(ProtocolError(error.kind, ""))
        default: continue
        }
      }
      return nil
    }
  }

  private static func text(_ answer: Result<String, ProtocolError>?) -> String {
    switch answer {
    case nil: "nothing"
    case .success(let text)?: text
    case .failure(let error)?: "the error \(error.kind)"
    }
  }
}
