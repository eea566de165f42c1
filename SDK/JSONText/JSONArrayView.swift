/// The elements of one array, found one after the other.
public struct JSONArrayView: Sendable, Sequence {
  /// The whole array.
  public let raw: RawJSON

  init(_ raw: RawJSON) {
    self.raw = raw
  }

  /// Starts a walk from the first element.
  public func makeIterator() -> Iterator {
    Iterator(raw: raw, position: raw.range.lowerBound + 1)
  }

  /// Walks the array once.
  public struct Iterator: IteratorProtocol {
    let raw: RawJSON
    var position: Int

    /// Returns the next element, nil at the end.
    public mutating func next() -> RawJSON? {
      guard let found = Self.element(of: raw, after: position) else { return nil }
      position = found.upperBound
      return raw.part(found)
    }

    private static func element(of raw: RawJSON, after position: Int) -> Range<Int>? {
      let bytes = raw.storage.span
      let last = raw.range.upperBound - 1
      var start = JSONWalker.skipWhitespace(bytes, position)
      guard start < last else { return nil }
      if bytes[start] == Byte.comma { start = JSONWalker.skipWhitespace(bytes, start + 1) }
      return start..<JSONWalker.endOfValue(bytes, start)
    }
  }
}
