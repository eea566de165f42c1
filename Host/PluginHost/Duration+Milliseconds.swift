extension Duration {
  /// Milliseconds, rounded down, from 0 to a hundred years.
  var wholeMilliseconds: Int64 {
    let limit: Int64 = 3_155_760_000_000
    let (milliseconds, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000)
    guard !overflow else { return components.seconds < 0 ? 0 : limit }
    return min(max(milliseconds + components.attoseconds / 1_000_000_000_000_000, 0), limit)
  }
}
