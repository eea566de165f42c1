/// Percentiles of measured values.
struct Spread {
  private let sorted: [Double]

  init(_ values: [Double]) {
    sorted = values.sorted()
  }

  /// The value below which the share lies; 0 when nothing was measured.
  func percentile(_ share: Double) -> Double {
    guard let last = sorted.last else { return 0 }
    let index = Int((share * Double(sorted.count)).rounded(.down))
    return index < sorted.count ? sorted[index] : last
  }
}

extension Duration {
  /// The duration in seconds.
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
