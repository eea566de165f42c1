public import JSONText

/// Something that travels inside a message.
///
/// Reading ignores unknown fields, so that a newer side may add some; writing leaves out what is nil.
public protocol WireValue: Sendable {
  /// Reads the value.
  init(json: RawJSON) throws(JSONTextError)
  /// Writes the value; exactly one JSON value.
  func write(to writer: inout JSONWriter)
}

extension WireValue {
  /// The value as JSON text.
  public var json: RawJSON {
    var writer = JSONWriter()
    write(to: &writer)
    return writer.finish()
  }
}

/// A message that is answered.
public protocol RequestMessage: WireValue {
  /// What a good answer holds.
  associatedtype Answer: WireValue
  /// Name on the wire.
  static var method: String { get }
}

/// A message that is not answered.
public protocol NotificationMessage: WireValue {
  /// Name on the wire.
  static var method: String { get }
}

/// Params or result without content: `{}`.
public struct EmptyMessage: WireValue, Equatable {
  /// Makes it.
  public init() {}
  /// Accepts any object.
  public init(json: RawJSON) throws(JSONTextError) { _ = try json.object() }
  /// Writes `{}`.
  public func write(to writer: inout JSONWriter) { writer.raw(.emptyObject) }
}

extension JSONWriter {
  /// Writes a member that is a wire value; nil writes nothing.
  public mutating func field(_ name: String, _ value: (some WireValue)?) {
    guard let value else { return }
    key(name)
    value.write(to: &self)
  }

  /// Writes a member that is an array of wire values.
  public mutating func field(_ name: String, _ values: [some WireValue]) {
    array(name, values) { $1.write(to: &$0) }
  }
}

extension JSONObjectView {
  /// Reads the member as a wire value.
  public func read<Value: WireValue>(_ key: String, as type: Value.Type = Value.self) throws(JSONTextError) -> Value {
    let value = try value(key)
    do throws(JSONTextError) { return try Value(json: value) } catch { throw error.naming(key) }
  }

  /// Reads the member as a wire value, nil if it is absent or null.
  public func readOptional<Value: WireValue>(
    _ key: String,
    as type: Value.Type = Value.self
  ) throws(JSONTextError) -> Value? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try Value(json: value) } catch { throw error.naming(key) }
  }

  /// Reads the member as an array of wire values; an absent array is empty.
  public func readArray<Value: WireValue>(
    _ key: String,
    of type: Value.Type = Value.self
  ) throws(JSONTextError) -> [Value] {
    guard let elements = try optionalArray(key) else { return [] }
    var result: [Value] = []
    for element in elements {
      do throws(JSONTextError) { result.append(try Value(json: element)) } catch {
        throw error.naming("\(key)[\(result.count)]")
      }
    }
    return result
  }
}

/// Params or result that are JSON text already.
extension RawJSON: WireValue {
  /// Takes the text as it is.
  public init(json: RawJSON) throws(JSONTextError) {
    self = json
  }

  /// Writes the text as it is.
  public func write(to writer: inout JSONWriter) {
    writer.raw(self)
  }
}
