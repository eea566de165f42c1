import Foundation
import HTTPClient
import Testing

/// TLS against `openssl s_server` with a certificate of its own.
@Suite struct SecureConnectionTests {
  @Test func untrustedCertificateIsNotSent() async throws {
    let server = try SecureServer(name: "localhost")
    let outcome = try await HTTPClient().perform(request("POST", server.url, body: .bytes([1])))
    #expect(outcome.notSentReason == .tlsFailed)
  }

  @Test func certificateOfAnotherNameIsNotSent() async throws {
    let server = try SecureServer(name: "elsewhere.test")
    let outcome = try await server.trustingClient().perform(request("GET", server.url))
    #expect(outcome.notSentReason == .tlsFailed)
  }

  @Test func trustedCertificateIsUsed() async throws {
    let server = try SecureServer(name: "localhost")
    let response = try await server.trustingClient().perform(request("GET", server.url)).complete
    #expect(response.status == 200)
    #expect(response.timings.secured > .zero)
  }

  @Test func plainServerIsNotSpokenTo() async throws {
    let server = try RawServer { connection, _ in
      connection.waitForBytes()
      connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
    }
    let outcome = try await HTTPClient().perform(
      request("POST", "https://localhost:\(server.port)/", body: .bytes([1]))
    )
    #expect(outcome.notSentReason == .tlsFailed)
    #expect(server.requests.isEmpty)
  }
}

/// A TLS server whose certificate names `name`; ends with its last reference.
private final class SecureServer: @unchecked Sendable {
  // Sendable: everything is set in `init` and only read afterwards.
  private let process = Process()
  private let certificate: TemporaryFile
  private let key: TemporaryFile
  private let port: Int

  var url: String { "https://localhost:\(port)/" }

  init(name: String) throws {
    certificate = try TemporaryFile([])
    key = try TemporaryFile([])
    _ = try output(
      of: "/usr/bin/openssl",
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=\(name)",
      "-addext",
      "subjectAltName=DNS:\(name)",
      "-keyout",
      key.path,
      "-out",
      certificate.path
    )
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", certificate.path, "-key", key.path, "-www"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    var text = ""
    var port: Int?
    while port == nil {
      let data = pipe.fileHandleForReading.availableData
      guard !data.isEmpty else { throw RawServerError() }
      text += String(decoding: data, as: UTF8.self)
      for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      where line.hasPrefix("ACCEPT") {
        port = line.split(separator: ":").last.flatMap { Int($0) }
      }
    }
    guard let port else { throw RawServerError() }
    self.port = port
  }

  deinit { process.terminate() }

  func trustingClient() throws -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    configuration.certificateAuthorities = certificate.path
    return try HTTPClient(configuration: configuration)
  }
}
