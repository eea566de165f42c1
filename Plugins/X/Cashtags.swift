/// Counts cashtags such as `$ABC`; the platform takes one a post.
package enum Cashtags {
  /// Returns the number of cashtags in a text.
  package static func count(in text: String) -> Int {
    let scalars = Array(text.unicodeScalars)
    var count = 0
    var index = 0
    while index < scalars.count {
      if scalars[index] == "$", index == 0 || scalars[index - 1].properties.isWhitespace {
        let end = symbolEnd(scalars, from: index + 1)
        if end > index + 1, isBoundary(scalars, at: end) { count += 1 }
        index = max(end, index + 1)
      } else {
        index += 1
      }
    }
    return count
  }

  /// One to six letters, and one or two more behind a dot or an underscore.
  private static func symbolEnd(_ scalars: [Unicode.Scalar], from start: Int) -> Int {
    var end = start
    while end < scalars.count, end - start < 7, isLetter(scalars[end]) { end += 1 }
    guard (1...6).contains(end - start) else { return start }
    guard end < scalars.count, scalars[end] == "." || scalars[end] == "_" else { return end }
    var suffix = end + 1
    while suffix < scalars.count, suffix - end <= 3, isLetter(scalars[suffix]) { suffix += 1 }
    return (1...2).contains(suffix - end - 1) ? suffix : end
  }

  private static func isBoundary(_ scalars: [Unicode.Scalar], at index: Int) -> Bool {
    guard index < scalars.count else { return true }
    let scalar = scalars[index]
    return !(isLetter(scalar) || scalar.properties.numericType != nil || scalar == "$")
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
  }
}
