import JSONText

/// Changes a few places of a JSON value of any shape; everything else is copied as it is.
struct JSONEdit {
  private final class Node {
    var children: [String: Node] = [:]
    var replacement: RawJSON?
    /// Whether the value here is kept whole when the rest is dropped.
    var isKept = false
  }

  private let root = Node()

  /// Puts another value at a place.
  func replace(_ path: [String], with value: RawJSON) {
    node(path).replacement = value
  }

  /// Keeps a place in `picked`.
  func keep(_ path: [String]) {
    node(path).isKept = true
  }

  /// The value with the replacements.
  func applied(to value: RawJSON) -> RawJSON {
    var writer = JSONWriter(capacity: value.count + 256)
    Self.write(value, root, onlyKept: false, &writer)
    return writer.finish()
  }

  /// The value with nothing left but kept and replaced places and what leads to them.
  func picked(from value: RawJSON) -> RawJSON {
    guard value.kind == .object, !root.children.isEmpty else { return .emptyObject }
    var writer = JSONWriter(capacity: 256)
    Self.write(value, root, onlyKept: true, &writer)
    return writer.finish()
  }

  private func node(_ path: [String]) -> Node {
    var current = root
    for name in path {
      let next = current.children[name] ?? Node()
      current.children[name] = next
      current = next
    }
    return current
  }

  private static func write(_ value: RawJSON, _ node: Node, onlyKept: Bool, _ writer: inout JSONWriter) {
    if let replacement = node.replacement { return writer.raw(replacement) }
    if node.isKept || node.children.isEmpty { return writer.raw(value) }
    // A value of this kind always has the view, so the other branch is never taken.
    if value.kind == .object, let object = try? value.object() {
      writer.beginObject()
      for (key, member) in object.all {
        let child = node.children[key]
        guard child != nil || !onlyKept else { continue }
        writer.key(key)
        if let child { write(member, child, onlyKept: onlyKept, &writer) } else { writer.raw(member) }
      }
      writer.endObject()
    } else if value.kind == .array, let elements = try? value.array() {
      writer.beginArray()
      for (index, element) in elements.enumerated() {
        let child = node.children[String(index)]
        guard child != nil || !onlyKept else { continue }
        if let child { write(element, child, onlyKept: onlyKept, &writer) } else { writer.raw(element) }
      }
      writer.endArray()
    } else {
      writer.raw(value)
    }
  }
}

/// The names of a JSON pointer.
enum JSONPointer {
  static func names(_ pointer: String) -> [String] {
    pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map {
      String($0).replacing("~1", with: "/").replacing("~0", with: "~")
    }
  }
}
