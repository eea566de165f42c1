internal import Egress
internal import HTTPClient
internal import Logging

/// Gets the public keys of a token issuer. The address is held against the host's rules for addresses; redirects are
/// not followed.
struct KeySetDownload: Sendable {
  let client: HTTPClient
  let policy: AddressPolicy
  let logger: Logger

  private static let timeout: Duration = .seconds(10)
  private static let maximumBytes = 64 << 10

  /// The body of the answer; nil, with a line in the log, when there is none to use.
  func run(_ address: String) async -> [UInt8]? {
    let url: TargetURL
    do {
      url = try TargetURL(address)
    } catch {
      return refused(address, "the address \(error)")
    }
    if let objection = policy.objection(to: url) { return refused(address, objection) }
    let (target, policy) = (policy.resolved(url), policy)
    let request = OutgoingRequest(
      method: "GET",
      url: target.description,
      headers: [("accept", "application/json")],
      timeout: Self.timeout,
      maximumResponseBytes: Self.maximumBytes,
      replayPolicy: .repeatable,
      addressPolicy: { socket in
        guard let address = IPAddress(bytes: socket.bytes) else { return false }
        return policy.permits(address, port: Int(socket.port), for: target)
      }
    )
    switch await client.perform(request) {
    case .response(let response):
      guard response.status == 200 else { return refused(address, "it answered with status \(response.status)") }
      guard !response.truncated else { return refused(address, "it is larger than \(Self.maximumBytes) bytes") }
      return response.body
    case .notSent(let reason): return refused(address, reason.detail)
    case .unknown(let reason): return refused(address, reason.detail)
    }
  }

  private func refused(_ address: String, _ problem: String) -> [UInt8]? {
    logger.warning(
      "The keys of a token issuer can not be had",
      ["address": "\(address.prefix(300))", "problem": "\(problem)"]
    )
    return nil
  }
}
