/// The path and query of a request line, split and decoded strictly.
package struct RequestTarget: Sendable, Equatable {
  /// The path as it came, without the query.
  package let path: String
  /// The decoded segments between the slashes; the root has none, a slash at the end gives a last empty one.
  package let segments: [String]
  /// The query as it came, without the question mark.
  package let query: Substring

  /// Splits a target in origin form.
  ///
  /// Refused: other forms, anything but visible ASCII, broken escapes, an escaped slash or NUL, and `.` or `..` as a
  /// segment.
  package init(_ raw: String) throws(HTTPProblem) {
    let mark = raw.utf8.firstIndex(of: UInt8(ascii: "?"))
    let path = raw[..<(mark ?? raw.endIndex)]
    query = mark.map { raw[raw.index(after: $0)...] } ?? ""
    // Beyond ASCII, a mark that combines with a slash would hide it from what looks at whole characters.
    guard !raw.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) else {
      throw .badRequest("The request's address holds a space, a control character or a letter without its escape")
    }
    guard path.utf8.first == UInt8(ascii: "/") else {
      throw .badRequest("The request's address must begin with a slash")
    }
    self.path = String(path)
    var segments: [String] = []
    if path.utf8.count > 1 {
      for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
        guard let segment = PercentCoding.decode(part), segment != ".", segment != "..",
          !segment.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") })
        else {
          throw .badRequest("The request's address holds a broken or forbidden escape")
        }
        segments.append(segment)
      }
    }
    self.segments = segments
  }
}
