import Glibc
import Testing

@testable import SandboxKit

@Suite struct SandboxCommandTests {
  @Test func readsItsCommandLine() throws {
    let options = try SandboxCommand.parse([
      "--port", "8080", "--host", "0.0.0.0", "--x-account", "alice:a:b", "--hook", "blog:whsec_x", "--unlimited",
      "--delay-ms", "5", "--connections", "10", "--exit-with-stdin",
    ])
    #expect(options.configuration.port == 8080)
    #expect(options.configuration.host == "0.0.0.0")
    #expect(options.configuration.accounts.map(\.username) == ["alice"])
    #expect(options.configuration.accounts.map(\.token) == ["a:b"])
    #expect(options.configuration.hooks.map(\.name) == ["blog"])
    #expect(!options.configuration.settings.rateLimits)
    #expect(options.configuration.settings.baseDelayMs == 5)
    #expect(options.configuration.maximumConnections == 10)
    #expect(options.exitsWithInput)
  }

  @Test(arguments: [["--port"], ["--port", "65536"], ["--port", "x"], ["--x-account", "alice"], ["--bogus"]])
  func refusesOtherCommandLines(arguments: [String]) {
    #expect(throws: SandboxError.self) { try SandboxCommand.parse(arguments) }
  }

  private func port(of sandbox: SpawnedSandbox) throws -> UInt16 {
    let line = try JSONParser.parse(Array(sandbox.firstLine().utf8))
    let address = try #require(line["listening"]?.string)
    return try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
  }

  @Test func tellsItsAddressServesAndEndsOnATermSignal() throws {
    let sandbox = try SpawnedSandbox(["--port", "0", "--x-account", "alice:t"])
    let client = try RawClient(port: try port(of: sandbox))
    let me = try client.request("GET", "/2/users/me", headers: [("authorization", "Bearer t")])
    #expect(me.status == 200)
    kill(sandbox.process, SIGTERM)
    #expect(sandbox.exitStatus() == 0)
    #expect(client.waitForEnd() != .error(EAGAIN))
  }

  @Test func endsWithItsParent() throws {
    let sandbox = try SpawnedSandbox(["--exit-with-stdin"])
    _ = try port(of: sandbox)
    sandbox.closeInput()
    #expect(sandbox.exitStatus() == 0)
  }

  @Test func explainsMistakes() throws {
    #expect(try SpawnedSandbox(["--bogus"]).exitStatus() == 64)
    #expect(try SpawnedSandbox(["--x-account", "not valid:t"]).exitStatus() == 1)
    let help = try SpawnedSandbox(["--help"])
    #expect(help.firstLine().hasPrefix("usage: rostrum-sandbox"))
    #expect(help.exitStatus() == 0)
  }
}
