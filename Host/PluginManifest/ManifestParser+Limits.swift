import JSONDocument

/// Members about the platform's rate limits.
extension ManifestParser {
  func rateLimits(_ reader: inout ObjectReader, rules: [EgressRule]) -> [RateLimit] {
    let known = rules.map(\.name).sorted()
    return reader.elements("rateLimits", atMost: 32).compactMap { place, value in
      guard var limit = ObjectReader(value, path: place, collector: collector) else { return nil }
      let names = limit.strings(
        "rules",
        atMost: 64,
        required: true,
        allowed: "names of rules: \(known.joined(separator: ", "))",
        where: known.contains
      )
      var windows: [RateLimit.Window] = []
      for scope in LimitScope.allCases {
        guard var window = limit.object(scope.rawValue) else { continue }
        let count = window.integer("count", 1...1_000_000)
        let length = window.integer("windowMs", 1_000...2_678_400_000)
        window.finish()
        if let count, let length {
          windows.append(RateLimit.Window(scope: scope, count: count, length: .milliseconds(length)))
        }
      }
      let note = limit.optionalString("note", 1...300)
      limit.finish()
      let scopes = LimitScope.allCases.map(\.rawValue).joined(separator: ", ")
      if windows.isEmpty { collector.add(place, "has no window", allowed: "\(scopes), at least one") }
      return RateLimit(rules: names, windows: windows, note: note)
    }
  }

  /// Sets of headers, because a platform may report several limits in one answer.
  func rateLimitHeaders(_ reader: inout ObjectReader) -> [RateLimitHeaders] {
    guard reader.value("rateLimitHeaders") != nil else { return [] }
    return reader.elements("rateLimitHeaders", atMost: 8).compactMap { place, element in
      ObjectReader(element, path: place, collector: collector).flatMap(headers)
    }
  }

  private func headers(_ object: ObjectReader) -> RateLimitHeaders? {
    var object = object
    let allowed = "a lower-case header name"
    let scope = object.choice("scope", default: LimitScope.perAccount)
    let limit = object.optionalString("limit", 1...80, allowed: allowed, where: RuleParser.isHeaderName)
    let remaining = object.string("remaining", 1...80, allowed: allowed, where: RuleParser.isHeaderName)
    var header: String?
    var unit = RateLimitHeaders.ResetUnit.unixSeconds
    if var reset = object.object("reset") {
      header = reset.string("header", 1...80, allowed: allowed, where: RuleParser.isHeaderName)
      unit = reset.choice("unit", RateLimitHeaders.ResetUnit.self) ?? unit
      reset.finish()
    }
    object.finish()
    guard let remaining else { return nil }
    return RateLimitHeaders(scope: scope, limit: limit, remaining: remaining, reset: header, resetUnit: unit)
  }

  func retryAfter(_ reader: inout ObjectReader) -> RetryAfterPointer? {
    guard var object = reader.object("retryAfter") else { return nil }
    let pointer = object.string("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    let unit = object.choice("unit", RetryAfterPointer.Unit.self)
    object.finish()
    guard let pointer, let unit else { return nil }
    return RetryAfterPointer(pointer: pointer, unit: unit)
  }
}
