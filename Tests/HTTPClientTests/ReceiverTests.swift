import Foundation
import HTTPClient
import Synchronization
import Testing

/// Bodies that are taken while they arrive.
@Suite struct ReceiverTests {
  /// Takes what a test allows it to take.
  private final class Collector: ResponseReceiver {
    private struct State {
      var bytes: [UInt8] = []
      var status: Int?
      var control: TransferControl?
      var refusals = 0
    }

    private let state = Mutex(State())
    private let accepts: Bool
    private let intake: @Sendable (Int) -> ResponseIntake
    let offered = Arrival()

    /// - Parameter intake: Decides by the number of bytes taken before.
    init(accepts: Bool = true, _ intake: @escaping @Sendable (Int) -> ResponseIntake = { _ in .taken }) {
      self.accepts = accepts
      self.intake = intake
    }

    var bytes: [UInt8] { state.withLock { $0.bytes } }
    var status: Int? { state.withLock { $0.status } }
    var control: TransferControl? { state.withLock { $0.control } }

    func begin(status: Int, headers: ResponseHeaders, control: TransferControl) -> Bool {
      state.withLock { state in
        state.status = status
        state.control = control
      }
      return accepts
    }

    func take(_ bytes: [UInt8]) -> ResponseIntake {
      defer { offered.notify() }
      return state.withLock { state in
        let decision = intake(state.bytes.count)
        if case .taken = decision { state.bytes += bytes }
        return decision
      }
    }
  }

  private let client: HTTPClient

  init() throws {
    client = try HTTPClient()
  }

  private func request(_ server: RawServer, _ receiver: Collector) -> OutgoingRequest {
    var request = HTTPClientTests.request("GET", server.url)
    request.receiver = receiver
    return request
  }

  private func server(_ body: String) throws -> RawServer {
    try RawServer { connection, _ in
      while connection.readRequest() != nil { connection.answer("200 OK", body: body) }
    }
  }

  @Test func theBodyGoesToTheReceiver() async throws {
    let body = String(repeating: "abc", count: 100_000)
    let receiver = Collector()
    let server = try server(body)
    let response = try await client.perform(request(server, receiver)).complete
    #expect(response.body.isEmpty)
    #expect(receiver.status == 200)
    #expect(receiver.bytes == Array(body.utf8))
  }

  @Test func aReceiverMayLeaveTheBodyToTheClient() async throws {
    let receiver = Collector(accepts: false)
    let server = try server("plain")
    let response = try await client.perform(request(server, receiver)).complete
    #expect(response.body == Array("plain".utf8))
    #expect(receiver.bytes.isEmpty)
  }

  @Test func whatIsNotTakenIsOfferedAgain() async throws {
    let body = (0..<60_000).map { "\($0 % 10)" }.joined()
    let isOpen = Mutex(false)
    let receiver = Collector { taken in taken < 1_000 || isOpen.withLock { $0 } ? .taken : .later }
    let server = try server(body)
    async let outcome = client.perform(request(server, receiver))
    while receiver.bytes.isEmpty { await receiver.offered.wait() }
    isOpen.withLock { $0 = true }
    // Whether the second offer was refused before or comes after this, nothing is lost and nothing comes twice.
    receiver.control?.resume()
    _ = try await outcome.complete
    #expect(receiver.bytes == Array(body.utf8))
  }

  @Test func aReceiverEndsTheTransfer() async throws {
    let receiver = Collector { $0 > 0 ? .stop : .taken }
    let server = try server(String(repeating: "x", count: 1_000_000))
    let outcome = await client.perform(request(server, receiver))
    #expect(outcome.unknownReason == .stopped)
    #expect(receiver.bytes.count < 1_000_000)
  }

  @Test func whoSteersEndsASilentTransfer() async throws {
    let server = try RawServer { connection, _ in
      _ = connection.readRequest()
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
      connection.waitForEnd()
    }
    let receiver = Collector()
    async let outcome = client.perform(request(server, receiver))
    while receiver.bytes.isEmpty { await receiver.offered.wait() }
    receiver.control?.stop()
    #expect(await outcome.unknownReason == .stopped)
    // A second word about a transfer that is over does nothing.
    receiver.control?.stop()
    receiver.control?.resume()
  }
}
