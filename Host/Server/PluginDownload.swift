internal import Egress
internal import HTTPClient
internal import PluginStore

/// Downloads a bundle. Every address on the way, redirects included, is held against the host's rules for addresses.
struct PluginDownload: Sendable {
  private let policy: AddressPolicy

  private static let maximumRedirects = 5
  private static let timeout: Duration = .seconds(300)
  /// An answer that is no bundle is not looked at.
  private static let maximumRefusalBytes = 64 << 10

  init(_ configuration: HostConfiguration) {
    policy = configuration.addressPolicy
  }

  /// - Throws: ``StoreError`` naming the address and what it answered.
  func run(_ address: String, into file: IncomingBundle) async throws {
    let client = try HTTPClient()
    do {
      try await fetch(address, client, into: file)
      await client.close(within: .seconds(1))
    } catch {
      await client.close(within: .seconds(1))
      throw error
    }
  }

  private func fetch(_ address: String, _ client: HTTPClient, into file: IncomingBundle) async throws {
    var url = try Self.url { try TargetURL(address) }
    for _ in 0...Self.maximumRedirects {
      if let objection = policy.objection(to: url) { throw Self.refusal(url, objection) }
      let (target, policy) = (policy.resolved(url), policy)
      let receiver = BundleReceiver(file: file)
      let request = OutgoingRequest(
        method: "GET",
        url: target.description,
        headers: [("accept", "application/octet-stream"), ("accept-encoding", "identity")],
        timeout: Self.timeout,
        maximumResponseBytes: Self.maximumRefusalBytes,
        replayPolicy: .once,
        addressPolicy: { socket in
          guard let address = IPAddress(bytes: socket.bytes) else { return false }
          return policy.permits(address, port: Int(socket.port), for: target)
        },
        receiver: receiver
      )
      let outcome = await client.perform(request)
      try await receiver.finish()
      if receiver.isTooLarge {
        throw Self.refusal(url, "it is larger than \(IncomingBundle.maximumBytes) bytes, which is the limit")
      }
      switch outcome {
      case .response(let response):
        switch response.status {
        case 200: return
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
