import FoundationEssentials
import JSONText
public import PluginProtocol

extension HTTPBody {
  /// Makes a JSON body from a Codable value; keys are sorted, so that equal values give equal bytes.
  ///
  /// - Throws: `internal` if the value cannot be written as JSON.
  public static func encoding(_ value: some Encodable) throws(PlatformError) -> HTTPBody {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return .json(try RawJSON(Array(try encoder.encode(value))))
    } catch {
      throw PlatformError(.internal, "a request body cannot be written as JSON")
    }
  }
}

extension HTTPAnswer {
  /// Reads the JSON body as a Codable value.
  ///
  /// - Throws: `platformChanged` if there is no JSON body or it has another shape.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(PlatformError) -> Value {
    guard let json else { throw PlatformError(.platformChanged, "the answer is not JSON") }
    do {
      return try JSONDecoder().decode(type, from: Data(json.bytes))
    } catch {
      throw PlatformError(.platformChanged, "the answer is not a \(type)")
    }
  }
}
