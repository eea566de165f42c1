import JSONText

/// Writes host values into a JSON body at a pointer through objects.
enum JSONSlot {
  /// Whether the place is empty and everything above it is an object or absent.
  static func isFree(_ pointer: String, in body: RawJSON) -> Bool {
    var current = body
    for name in JSONPointer.names(pointer) {
      // Not an object means not free.
      guard let object = try? current.object() else { return false }
      guard let next = object[name] else { return true }
      current = next
    }
    return false
  }

  /// Returns the body with a string at the pointer; the place must be free.
  static func inserting(_ value: String, at pointer: String, in body: RawJSON) -> RawJSON {
    var writer = JSONWriter(capacity: body.count + value.utf8.count + 64)
    write(body, JSONPointer.names(pointer)[...], value, &writer)
    return writer.finish()
  }

  private static func write(
    _ body: RawJSON?,
    _ names: ArraySlice<String>,
    _ value: String,
    _ writer: inout JSONWriter
  ) {
    guard let name = names.first else { return writer.string(value) }
    writer.beginObject()
    var isWritten = false
    // A body that is no object has been refused before.
    for (key, member) in (try? body?.object())?.all ?? [] {
      writer.key(key)
      if key == name {
        isWritten = true
        write(member, names.dropFirst(), value, &writer)
      } else {
        writer.raw(member)
      }
    }
    if !isWritten {
      writer.key(name)
      write(nil, names.dropFirst(), value, &writer)
    }
    writer.endObject()
  }
}
