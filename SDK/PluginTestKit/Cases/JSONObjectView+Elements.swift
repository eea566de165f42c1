import JSONText

extension JSONObjectView {
  /// The elements of the array at `key`; an absent array is empty.
  func elements(_ key: String) throws(JSONTextError) -> [RawJSON] {
    guard let array = try optionalArray(key) else { return [] }
    return Array(array)
  }
}
