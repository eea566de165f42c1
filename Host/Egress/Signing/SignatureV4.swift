import Cryptography
import FoundationEssentials

/// AWS Signature Version 4 over one request.
struct SignatureV4 {
  let accessKey: String
  let secretKey: Secret
  let sessionToken: String?
  let region: String
  let service: String

  /// What the body counts as when its bytes are not at hand; allowed over HTTPS.
  static let unsignedPayload = "UNSIGNED-PAYLOAD"

  /// The headers to add.
  ///
  /// - Parameters:
  ///   - target: With the whole query.
  ///   - payloadHash: SHA-256 of the body in hex, or `unsignedPayload`.
  func headers(
    method: String,
    target: TargetURL,
    host: String,
    payloadHash: String,
    now: Date
  ) -> [(String, String)] {
    let stamp = Self.stamp(now)
    let day = String(stamp.prefix(8))
    var signed = [("host", host), ("x-amz-content-sha256", payloadHash), ("x-amz-date", stamp)]
    if let sessionToken { signed.append(("x-amz-security-token", sessionToken)) }
    let names = signed.map(\.0).joined(separator: ";")
    let request = [
      method, canonicalPath(target.path), Self.canonicalQuery(target.query ?? ""),
      signed.map { "\($0.0):\($0.1)\n" }.joined(), names, payloadHash,
    ].joined(separator: "\n")
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let text = ["AWS4-HMAC-SHA256", stamp, scope, Hex.encode(SHA256.digest(request))].joined(separator: "\n")
    let signature = Hex.encode(HMACSHA256.authenticate(Array(text.utf8), key: key(day)))
    let value = "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
    return signed.dropFirst() + [("authorization", value)]
  }

  private func key(_ day: String) -> Secret {
    var key = Secret(Array("AWS4".utf8) + secretKey.reveal())
    for part in [day, region, service, "aws4_request"] {
      var code = HMACSHA256.authenticate(Array(part.utf8), key: key)
      key = Secret(wiping: &code)
    }
    return key
  }

  /// S3 takes the path as it is sent; every other service wants it encoded once more.
  private func canonicalPath(_ path: String) -> String {
    guard service != "s3" else { return path }
    return path.split(separator: "/", omittingEmptySubsequences: false)
      .map { PercentEncoding.encode(String($0)) }.joined(separator: "/")
  }

  static func canonicalQuery(_ query: String) -> String {
    query.split(separator: "&").map { pair in
      let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = PercentEncoding.encode(PercentEncoding.decode(halves[0]))
      let value = halves.count == 2 ? PercentEncoding.encode(PercentEncoding.decode(halves[1])) : ""
      return "\(name)=\(value)"
    }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: "&")
  }

  /// `YYYYMMDDThhmmssZ`.
  static func stamp(_ date: Date) -> String {
    let seconds = Int64(date.timeIntervalSince1970.rounded(.down))
    let (days, rest) = (Int64((Double(seconds) / 86_400).rounded(.down)), ((seconds % 86_400) + 86_400) % 86_400)
    // Days to a date of the Gregorian calendar, counted in eras of 400 years that start on 1 March.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let calendarMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (calendarMonth <= 2 ? 1 : 0)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
    return "\(year)\(two(calendarMonth))\(two(day))T\(two(rest / 3_600))\(two(rest / 60 % 60))\(two(rest % 60))Z"
  }
}
