package import FoundationEssentials

/// A complete HTTP answer.
package struct Response: Sendable {
  package var status: Int
  package var headers: ResponseHeaders
  /// The decompressed body, cut at the request's `maximumResponseBytes`.
  package var body: [UInt8]
  /// Whether the body was longer than what is kept.
  package var truncated: Bool
  /// The moment just before the first byte of the request could leave.
  package var sentAt: Moment
  /// The moment the last byte of the answer was here.
  package var lastByteAt: Moment
  package var timings: Timings
}

/// The same type under a name that no other module has.
package typealias HTTPResponse = Response

/// One instant on both clocks: the wall clock for records, the continuous one for differences.
package struct Moment: Sendable, Hashable {
  package var date: Date
  package var instant: ContinuousClock.Instant

  package init(date: Date, instant: ContinuousClock.Instant) {
    self.date = date
    self.instant = instant
  }

  /// The present.
  package static var now: Moment { Moment(date: Date(), instant: ContinuousClock.now) }
}

/// Where the time of a request went; each value counts from the start of the transfer.
package struct Timings: Sendable, Hashable {
  package var nameLookup: Duration = .zero
  package var connected: Duration = .zero
  package var secured: Duration = .zero
  package var firstByte: Duration = .zero
  package var total: Duration = .zero
  /// Whether a kept connection was used.
  package var reusedConnection = false
}

/// The header fields of an answer, names in lower case, in their order of arrival.
package struct ResponseHeaders: Sendable {
  package var fields: [(name: String, value: String)]

  package init(fields: [(name: String, value: String)] = []) {
    self.fields = fields
  }

  /// The first value of the field `name` (lower case).
  package subscript(name: String) -> String? {
    fields.first { $0.name == name }?.value
  }

  /// All values of the field `name` (lower case).
  package func values(of name: String) -> [String] {
    fields.filter { $0.name == name }.map(\.value)
  }
}
