/// Key and value in one call; a nil value writes nothing.
extension JSONWriter {
  /// Writes an object whose members `body` writes.
  public mutating func object<Failure: Error>(
    _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    beginObject()
    try body(&self)
    endObject()
  }

  /// Writes a member that is an object.
  public mutating func object<Failure: Error>(
    _ name: String,
    _ body: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    key(name)
    try object(body)
  }

  /// Writes a member that is an array, one element for each item.
  public mutating func array<Items: Sequence>(
    _ name: String,
    _ items: Items,
    _ write: (inout JSONWriter, Items.Element) -> Void
  ) {
    key(name)
    beginArray()
    for item in items { write(&self, item) }
    endArray()
  }

  /// Writes a member that is an array of strings.
  public mutating func field(_ name: String, _ values: [String]) {
    array(name, values) { $0.string($1) }
  }

  /// Writes a string member.
  public mutating func field(_ name: String, _ value: String?) {
    guard let value else { return }
    key(name)
    string(value)
  }

  /// Writes an integer member.
  public mutating func field(_ name: String, _ value: (some FixedWidthInteger)?) {
    guard let value else { return }
    key(name)
    int(value)
  }

  /// Writes a number member.
  public mutating func field(_ name: String, _ value: Double?) {
    guard let value else { return }
    key(name)
    double(value)
  }

  /// Writes a truth-value member.
  public mutating func field(_ name: String, _ value: Bool?) {
    guard let value else { return }
    key(name)
    bool(value)
  }

  /// Writes a member whose value is checked JSON.
  public mutating func field(_ name: String, _ value: RawJSON?) {
    guard let value else { return }
    key(name)
    raw(value)
  }
}

extension RawJSON {
  /// Makes an object whose members `body` writes.
  public static func object(
    capacity: Int = 256,
    _ body: (inout JSONWriter) -> Void
  ) -> RawJSON {
    var writer = JSONWriter(capacity: capacity)
    writer.object(body)
    return writer.finish()
  }

  /// Makes an array, one element for each item.
  public static func array<Items: Sequence>(
    _ items: Items,
    _ write: (inout JSONWriter, Items.Element) -> Void
  ) -> RawJSON {
    var writer = JSONWriter()
    writer.beginArray()
    for item in items { write(&writer, item) }
    writer.endArray()
    return writer.finish()
  }

  /// Makes a string value.
  public static func string(_ value: String) -> RawJSON {
    var writer = JSONWriter(capacity: value.utf8.count + 2)
    writer.string(value)
    return writer.finish()
  }

  /// The value `null`.
  public static let null = RawJSON(checked: Array("null".utf8), range: 0..<4)
  /// The object without members.
  public static let emptyObject = RawJSON(checked: Array("{}".utf8), range: 0..<2)
}
