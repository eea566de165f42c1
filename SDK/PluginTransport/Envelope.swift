public import JSONText
public import PluginProtocol

/// One JSON-RPC message, with its params or result as text.
public enum Envelope: Sendable, Equatable {
  case request(id: Int64, method: String, params: RawJSON)
  case notification(method: String, params: RawJSON)
  case response(id: Int64, result: RawJSON)
  /// An error answer; no id if the other side could not read ours.
  case failure(id: Int64?, error: ProtocolError)

  /// Highest id: what a JSON number holds exactly everywhere.
  public static let maximumID: Int64 = 9_007_199_254_740_991

  /// Reads a frame; unknown members are ignored, absent params are `{}`.
  public init(_ frame: RawJSON) throws(EnvelopeError) {
    let object: JSONObjectView
    do throws(JSONTextError) { object = try frame.object() } catch {
      throw EnvelopeError("the frame is not an object", id: nil, isResponse: false)
    }
    let isResponse = object["method"] == nil
    let id = try Self.id(of: object, isResponse: isResponse)
    guard let version = object["jsonrpc"], version.bytes.elementsEqual(Self.version) else {
      throw EnvelopeError("jsonrpc is not \"2.0\"", id: id, isResponse: isResponse)
    }
    if isResponse {
      self = try Self.answer(object, id: id)
    } else {
      self = try Self.call(object, id: id)
    }
  }

  private static let version = Array("\"2.0\"".utf8)

  private static func id(of object: JSONObjectView, isResponse: Bool) throws(EnvelopeError) -> Int64? {
    guard let raw = object["id"], !raw.isNull else { return nil }
    let id: Int64
    do throws(JSONTextError) { id = try raw.int64() } catch {
      throw EnvelopeError("id is not an integer", id: nil, isResponse: isResponse)
    }
    guard (1...maximumID).contains(id) else {
      throw EnvelopeError("id is out of range", id: nil, isResponse: isResponse)
    }
    return id
  }

  private static func call(_ object: JSONObjectView, id: Int64?) throws(EnvelopeError) -> Envelope {
    let method: String
    do throws(JSONTextError) { method = try object.string("method") } catch {
      throw EnvelopeError("method is not a string", id: id, isResponse: false)
    }
    let params = object.optional("params") ?? .emptyObject
    guard params.kind == .object else { throw EnvelopeError("params is not an object", id: id, isResponse: false) }
    if let id { return .request(id: id, method: method, params: params) }
    guard object["id"] == nil else { throw EnvelopeError("id is null", id: nil, isResponse: false) }
    return .notification(method: method, params: params)
  }

  private static func answer(_ object: JSONObjectView, id: Int64?) throws(EnvelopeError) -> Envelope {
    switch (object["result"], object["error"]) {
    case (let result?, nil):
      guard let id else { throw EnvelopeError("a result has no id", id: nil, isResponse: true) }
      return .response(id: id, result: result)
    case (nil, let error?):
      do throws(JSONTextError) { return .failure(id: id, error: try ProtocolError(json: error)) } catch {
        throw EnvelopeError("the error object cannot be read: \(error)", id: id, isResponse: true)
      }
    default:
      throw EnvelopeError("a message needs one of method, result and error", id: id, isResponse: true)
    }
  }
}

/// Why a frame is no message, with what is needed to answer it.
public struct EnvelopeError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong.
  public let problem: String
  /// The id, if it could be read.
  public let id: Int64?
  /// Whether the frame is an answer: then the call it belongs to has failed.
  public let isResponse: Bool

  init(_ problem: String, id: Int64?, isResponse: Bool) {
    self.problem = problem
    self.id = id
    self.isResponse = isResponse
  }

  /// What is wrong.
  public var description: String { problem }
}
