import Cryptography
import Dispatch
import Egress
import FoundationEssentials
import Glibc
import HTTPClient
import JSONDocument
import Logging
import OAuth
import PluginManifest
import Postgres
import Publishing
import Vault

/// Renews tokens as hosts do, at the word of a test that runs many such processes against one token server.
///
/// Lines on standard input are orders, each answered with one JSON object: `make` (an account), `go CONNECTION GENERATION`
/// (all tasks ask for a newer token than that), `replay`, `show CONNECTION`, `end CONNECTION` (its access token ends now).
struct RenewalBench {
  let database: Configuration
  let server: String
  let folder: String
  let rotation: String
  let tasks: Int
  let leaseMilliseconds: Int

  func run() async throws {
    let pool = Pool(database, size: 4, patience: .seconds(2))
    let vault = try await Vault(pool: pool, keyring: Keyring(Secret(Hex.encode([UInt8](repeating: 7, count: 32)))))
    let accounts = AccountCache(pool: pool, vault: vault)
    let manifest = try PluginManifest.parse(Array(manifestText.utf8))
    let port = server.split(separator: ":").last.map(String.init) ?? ""
    let policy = try AddressPolicy(allow: "127.0.0.1:\(port)", overrides: "https://api.example.com=\(server)")
    var settings = RenewalSettings()
    settings.lease = .milliseconds(leaseMilliseconds)
    settings.reserve = settings.lease / 2
    settings.pause = min(settings.pause, settings.lease / 10)
    let renewer = TokenRenewer(
      accounts: accounts,
      endpoint: TokenEndpoint(client: try HTTPClient(), policy: policy),
      apps: PlatformApps(pool: pool, vault: vault, settings: { Secret($0) }),
      spool: TokenSpool(folder: folder + "/tokens"),
      settings: settings,
      logger: .current,
      manifest: { $0 == manifest.id ? manifest : nil }
    )
    for await line in Self.orders() {
      let words = line.split(separator: " ").map(String.init)
      let connection = words.count > 1 ? Int64(words[1]) ?? 0 : 0
      switch words.first {
      case "make": RostrumBench.show(["connection": .int(try await make(pool, vault))])
      case "go":
        await go(renewer, connection, generation: words.count > 2 ? Int64(words[2]) ?? 0 : 0)
      case "replay": await replay(renewer)
      case "end":
        try await pool.execute(
          """
          UPDATE platform_connections SET expires_at = now() - interval '1 s', renewal_retry_at = NULL
          WHERE id = \(connection)
          """
        )
        RostrumBench.show([:])
      case "show": RostrumBench.show(try await state(pool, accounts, connection))
      default: throw BenchError("There is no order “\(line)”")
      }
    }
    await pool.close()
  }

  /// All tasks at once; what they were told, and how long the last one waited.
  private func go(_ renewer: TokenRenewer, _ connection: Int64, generation: Int64) async {
    let clock = ContinuousClock()
    var counts: [String: Int64] = [:]
    var longest = 0.0
    await withTaskGroup(of: (String, Double).self) { group in
      for _ in 0..<tasks {
        group.addTask {
          let start = clock.now
          let end = await renewer.renew(connection, seen: generation, cause: .needed)
          return (Self.word(end), (clock.now - start).inSeconds * 1_000)
        }
      }
      for await (word, milliseconds) in group {
        counts[word, default: 0] += 1
        longest = max(longest, milliseconds)
      }
    }
    var answer: [String: JSONValue] = counts.mapValues { .int($0) }
    answer["milliseconds"] = .double(longest)
    RostrumBench.show(.object(answer))
  }

  private func replay(_ renewer: TokenRenewer) async {
    do {
      RostrumBench.show(["stored": .int(Int64(try await renewer.replay()))])
    } catch {
      RostrumBench.show(["error": .string("\(error)")])
    }
  }

  private static func word(_ end: RenewalEnd) -> String {
    switch end {
    case .current: "current"
    case .later: "later"
    case .keep: "keep"
    case .dead: "dead"
    case .impossible: "impossible"
    }
  }

  private static func orders() -> AsyncStream<String> {
    let (lines, line) = AsyncStream.makeStream(of: String.self)
    // Reading blocks; and not by `readLine`, which keeps the lock that writing a line needs.
    DispatchQueue(label: "orders").async {
      var rest: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 4_096)
      while true {
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { break }
        rest += chunk.prefix(count)
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          line.yield(String(decoding: rest[..<end], as: UTF8.self))
          rest.removeSubrange(...end)
        }
      }
      line.finish()
    }
    return lines
  }

  // MARK: Rows

  private func make(_ pool: Pool, _ vault: Vault) async throws -> Int64 {
    let site: Int64 = try await pool.query("INSERT INTO sites (name) VALUES ('Bench') RETURNING id")[0].get(0)
    let id: Int64 = try await pool.query(
      "SELECT nextval(pg_get_serial_sequence('platform_connections', 'id'))"
    )[0].get(0)
    let secrets = ConnectionSecrets(["token": Secret("access-0"), CredentialGrant.refreshToken: Secret("refresh-0")])
    let sealed = try await vault.seal(
      secrets.encoded(),
      for: Vault.credentials(site: site, platform: "bench", connection: id, generation: 1)
    )
    try await pool.execute(
      """
      INSERT INTO platform_connections (id, site_id, platform, account_id, account_name, sealed_credentials, key_id,
        lane_id, scopes, token_issued_at, expires_at, renew_at)
      VALUES (\(id), \(site), 'bench', \("account \(id)"), 'Account', \(sealed.bytes), \(sealed.keyID), \(id), '{write}',
        now() - interval '1 day', now() - interval '1 s', now() - interval '1 h')
      """
    )
    return id
  }

  private func state(_ pool: Pool, _ accounts: AccountCache, _ connection: Int64) async throws -> JSONValue {
    let row = try await pool.query(
      """
      SELECT generation, status, coalesce(status_reason, '') AS reason FROM platform_connections WHERE id = \(connection)
      """
    )[0]
    let secrets = try await accounts.load(connection).secrets
    return [
      "generation": .int(try row.get("generation")), "status": .string(try row.get("status")),
      "reason": .string(try row.get("reason")), "access": .string(secrets["token"]?.revealText() ?? ""),
      "refresh": .string(secrets[CredentialGrant.refreshToken]?.revealText() ?? ""),
    ]
  }

  private var manifestText: String {
    let grace = rotation == "grace" ? #""graceMs": 600000,"# : ""
    return #"""
      {"schema": "rostrum-plugin/1", "id": "bench", "name": "Bench", "aliases": [], "kind": "platform",
       "version": "1.0.0", "description": "A platform of the benchmarks.", "license": "Apache-2.0",
       "protocol": {"min": "1.0", "max": "1.0"}, "executable": "plugin-bench",
       "methods": ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"], "input": [],
       "configuration": [{"name": "BENCH_ID", "label": "Id"}, {"name": "BENCH_SECRET", "label": "Secret", "secret": true}],
       "secrets": {"token": {"label": "Token", "source": "oauth"}}, "account": {"fields": []}, "egress": [],
       "oauth": {"application": {"id": "BENCH_ID", "secret": "BENCH_SECRET"},
         "authorize": {"url": "https://api.example.com/authorize", "parameters":
           {"response_type": "code", "client_id": "{client.id}", "redirect_uri": "{redirect}", "state": "{state}"}},
         "scopes": [{"name": "publish", "label": "Publish", "required": true, "scopes": ["write"]}],
         "exchange": [{"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
           "parameters": {"grant_type": "authorization_code", "code": "{code}"}}],
         "refresh": {"request": {"method": "POST", "url": "https://api.example.com/token", "authentication": "basic",
           "parameters": {"grant_type": "refresh_token", "refresh_token": "{refresh}"}}, \#(grace)
           "rotation": "\#(rotation)"}},
       "reconcile": {"absence": "never", "settleMs": 0}, "rateLimits": [], "postAddresses": [],
       "limits": {"inFlight": 4, "memoryMiB": 96, "startMs": 30000, "callMs": 60000}}
      """#
  }
}
