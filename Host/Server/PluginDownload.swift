internal import Egress
internal import HTTPClient
internal import PluginStore

/// Downloads a bundle. Every address on the way, redirects included, is held against the host's rules for addresses.
struct PluginDownload: Sendable {
  private let policy: AddressPolicy

  private static let maximumRedirects = 5
  private static let timeout: Duration = .seconds(300)

  init(_ configuration: HostConfiguration) {
    policy = configuration.addressPolicy
  }

  /// - Throws: ``StoreError`` naming the address and what it answered.
  func run(_ address: String, into file: IncomingBundle) async throws {
    let client = try HTTPClient()
    do {
      let body = try await body(address, client)
      await client.close(within: .seconds(1))
      try await write(body, to: file)
    } catch {
      await client.close(within: .seconds(1))
      throw error
    }
  }

  private func body(_ address: String, _ client: HTTPClient) async throws -> [UInt8] {
    var url = try Self.url { try TargetURL(address) }
    for _ in 0...Self.maximumRedirects {
      if let objection = policy.objection(to: url) { throw Self.refusal(url, objection) }
      let (target, policy) = (policy.resolved(url), policy)
      let request = OutgoingRequest(
        method: "GET",
        url: target.description,
        headers: [("accept", "application/octet-stream"), ("accept-encoding", "identity")],
        timeout: Self.timeout,
        maximumResponseBytes: Int(IncomingBundle.maximumBytes),
        replayPolicy: .repeatable,
        addressPolicy: { socket in
          guard let address = IPAddress(bytes: socket.bytes) else { return false }
          return policy.permits(address, port: Int(socket.port), for: target)
        }
      )
      switch await client.perform(request) {
      case .response(let response):
        switch response.status {
        case 200:
          guard !response.truncated else {
            throw Self.refusal(url, "it is larger than \(IncomingBundle.maximumBytes) bytes, which is the limit")
          }
          return response.body
        case 301, 302, 303, 307, 308:
          guard let place = response.headers["location"] else { throw Self.refusal(url, "it redirects to nowhere") }
          url = try Self.url { try url.resolving(place) }
        default: throw Self.refusal(url, "it answered with status \(response.status)")
        }
      case .notSent(let reason): throw Self.refusal(url, reason.detail)
      case .unknown(let reason): throw Self.refusal(url, reason.detail)
      }
    }
    throw Self.refusal(url, "it redirects more than \(Self.maximumRedirects) times")
  }

  private func write(_ body: [UInt8], to file: IncomingBundle) async throws {
    var rest = body[...]
    while !rest.isEmpty {
      try file.append(Array(rest.prefix(1 << 20)))
      rest = rest.dropFirst(1 << 20)
    }
  }

  private static func url(_ make: () throws -> TargetURL) throws -> TargetURL {
    do {
      return try make()
    } catch {
      throw StoreError(.download, "The bundle can not be downloaded: the address \(error)")
    }
  }

  private static func refusal(_ url: TargetURL, _ problem: String) -> StoreError {
    StoreError(.download, "The bundle can not be downloaded from \(url.origin): \(problem)")
  }
}
