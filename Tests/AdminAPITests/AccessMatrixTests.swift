import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Every operation, asked by everybody in their own and in another site, lets in whom its declaration says.
@Suite(.database, .timeLimit(.minutes(10))) struct AccessMatrixTests {
  /// Who asks.
  private enum Caller: CustomStringConvertible {
    case nobody
    case member(Role)
    case `operator`

    static let all: [Caller] = [.nobody, .operator] + Role.allCases.map { .member($0) }

    var description: String {
      switch self {
      case .nobody: "nobody"
      case .member(let role): role.rawValue
      case .operator: "operator"
      }
    }
  }

  private enum Place: CaseIterable {
    case own
    case foreign
  }

  private enum Verdict: Equatable {
    case admitted
    case refused(Int, String)
  }

  /// What each role may, written down a second time: a change of ``Role`` that nobody meant is seen here.
  private static let lowest: [Permission: Role] = [
    .read: .viewer, .write: .author, .publish: .editor, .manageAccounts: .admin, .manageSite: .admin,
    .manageMembers: .owner,
  ]

  private static let forbidden = Verdict.refused(403, "forbidden")
  private static let unreachable = Verdict.refused(404, "site_not_found")
  private static let foreignPage = Verdict.refused(403, "foreign_page")

  private func declared(_ access: Endpoint.Access, _ caller: Caller, _ place: Place, isPerson: Bool) throws -> Verdict {
    if case .open = access { return .admitted }
    if case .nobody = caller { return .refused(401, "unauthorized") }
    switch (access, caller) {
    case (.open, _), (_, .nobody): return .admitted
    case (.person, _): return isPerson ? .admitted : Self.forbidden
    case (.operatorOnly, .operator), (.siteOrHost, .operator), (.signedIn, _): return .admitted
    case (.operatorOnly, .member): return Self.forbidden
    case (.site, .operator): return Self.unreachable
    case (.siteInPath(let permission), .operator): return permission == .read ? .admitted : Self.forbidden
    case (.site(let permission), .member(let role)), (.siteInPath(let permission), .member(let role)),
      (.siteOrHost(let permission), .member(let role)):
      if place == .foreign { return Self.unreachable }
      return role >= (try #require(Self.lowest[permission])) ? .admitted : Self.forbidden
    }
  }

  private func verdict(_ answer: TestClient.Answer) -> Verdict {
    let code = answer.code ?? ""
    let refusals = ["forbidden", "site_not_found", "unauthorized", "foreign_page"]
    return refusals.contains(code) ? .refused(answer.status, code) : .admitted
  }

  /// The address of an operation. What else its path names is nowhere, so that nothing is changed by asking.
  private func target(_ endpoint: Endpoint, _ site: Int64) -> String {
    let isSitesOwn: Bool
    if case .siteInPath = endpoint.access { isSitesOwn = true } else { isSitesOwn = false }
    let path = endpoint.path.split(separator: "/").map { part in
      guard part.hasPrefix("{") else { return String(part) }
      return isSitesOwn ? "\(site)" : "999999"
    }
    var query = ""
    switch endpoint.access {
    case .site, .siteOrHost: query = "?siteId=\(site)"
    default: break
    }
    return "/" + path.joined(separator: "/") + query
  }

  @Test func tokensGetWhatIsDeclared() async throws {
    try await APIFixture.run({ $0.address.burst = 10_000 }) { api in
      var count = 0
      for endpoint in AdminAPI.endpoints {
        for caller in Caller.all {
          for place in Place.allCases {
            let token: String? =
              switch caller {
              case .nobody: nil
              case .operator: api.operatorToken
              case .member(let role): api.tokens[role]
              }
            var headers: HTTPHeaders = [:]
            if let token { headers.set("authorization", "Bearer \(token)") }
            let target = target(endpoint, place == .own ? api.site : api.otherSite)
            let answer = await api.send(endpoint.method, target, as: nil, json: "{}", headers: headers)
            let expected = try declared(endpoint.access, caller, place, isPerson: false)
            #expect(
              verdict(answer) == expected,
              "\(endpoint.method) \(target) as \(caller) (\(place)): \(answer.status) \(answer.text.prefix(300))"
            )
            count += 1
          }
        }
      }
      #expect(count >= 80 * 7 * 2)
    }
  }

  @Test func sessionsGetWhatIsDeclaredFromOwnPagesOnly() async throws {
    try await APIFixture.run({ $0.address.burst = 10_000 }) { api in
      for endpoint in AdminAPI.endpoints {
        for role in Role.allCases {
          for place in Place.allCases {
            let target = target(endpoint, place == .own ? api.site : api.otherSite)
            let isOpen: Bool
            if case .open = endpoint.access { isOpen = true } else { isOpen = false }
            for (site, isOwn) in [("same-origin", true), ("cross-site", false), ("same-site", false)] {
              // A new one for each request: one of the operations ends it.
              let headers: HTTPHeaders = ["cookie": try await api.cookie(role), "sec-fetch-site": site]
              let answer = await api.send(endpoint.method, target, as: nil, json: "{}", headers: headers)
              let isSafe = endpoint.method == .get || isOpen
              let expected =
                isOwn || isSafe
                ? try declared(endpoint.access, .member(role), place, isPerson: true) : Self.foreignPage
              #expect(
                verdict(answer) == expected,
                "\(endpoint.method) \(target) as \(role) (\(place)) \(site): \(answer.status) \(answer.text.prefix(300))"
              )
            }
          }
        }
      }
    }
  }

  /// What needs no rights, and what the lowest role may change, is listed here, so that a new operation is thought about.
  @Test func openDoorsAreKnown() {
    var open: Set<String> = []
    var lowChanges: Set<String> = []
    for endpoint in AdminAPI.endpoints {
      let name = "\(endpoint.method.rawValue) \(endpoint.path)"
      switch endpoint.access {
      case .open: open.insert(name)
      case .signedIn, .site(.read), .siteInPath(.read): if endpoint.method != .get { lowChanges.insert(name) }
      case .person, .operatorOnly, .site, .siteInPath, .siteOrHost: break
      }
    }
    let platform = "/api/admin/distribution/platforms/{platform}"
    #expect(
      open == [
        "GET /health", "GET /health/live", "POST /api/session", "POST /api/session/link", "GET \(platform)/begin",
        "GET \(platform)/callback",
      ]
    )
    #expect(
      lowChanges == ["POST /api/notices/{id}/read", "POST /api/notices/{id}/dismiss", "PUT /api/notices/settings"]
    )
  }

  /// Keys and emergencies are for whoever looks after the host, whatever somebody is in a site.
  @Test func theVaultIsForOperatorsOnly() {
    let vault = AdminAPI.endpoints.filter { $0.path.hasPrefix("/api/admin/vault") }
    for endpoint in vault {
      guard case .operatorOnly = endpoint.access else {
        Issue.record("\(endpoint.method) \(endpoint.path) is for \(endpoint.access)")
        continue
      }
    }
    #expect(
      Set(vault.map { "\($0.method.rawValue) \($0.path)" }) == [
        "GET /api/admin/vault", "POST /api/admin/vault/rotations", "POST /api/admin/vault/revocations",
        "POST /api/admin/vault/keys/{key}/destroy",
      ]
    )
  }
}
