import JSONDocument
import Notices
import Postgres
import Sites

/// `rostrum notice …`
enum NoticeCommands {
  static let all = [list]

  private static let list = Command(
    words: ["notice", "list"],
    summary: "Show what somebody should know or do, of all sites and of the host",
    options: [.flag("all", "closed ones too")]
  ) { invocation in
    let notices = try await invocation.withPool { pool in
      let sites = try await SiteStore(pool: pool).list(ids: nil, after: 0, limit: 10_000)
      // Nobody's marks: what a person dismissed is still shown here.
      let reach = NoticeInbox.Reach(user: 0, sites: sites.map(\.id), includesHost: true)
      return try await NoticeInbox(pool: pool).list(reach, state: invocation.flag("all") ? .all : .open, limit: 200)
    }
    invocation.show(["notices": .array(notices.map(json))]) {
      if notices.isEmpty { invocation.terminal.print("There is nothing to do.") }
      for notice in notices {
        let place = notice.site.map { "site \($0)" } ?? "host"
        let end = notice.closedAt.map { ", closed \(RFC3339.format($0))" } ?? ""
        invocation.terminal.print(
          invocation.terminal.styled("\(notice.severity.rawValue): \(notice.title)", .bold)
        )
        invocation.terminal.print(
          "  \(place), \(notice.count) times, since \(RFC3339.format(notice.openedAt))\(end)\n  \(notice.message)"
        )
      }
    }
    return .success
  }

  private static func json(_ notice: Notice) -> JSONValue {
    [
      "id": .int(notice.id), "siteId": notice.site.map { .int($0) } ?? .null, "kind": .string(notice.kind),
      "severity": .string(notice.severity.rawValue), "title": .string(notice.title),
      "message": .string(notice.message), "subject": notice.subject.map { .string($0) } ?? .null,
      "count": .int(Int64(notice.count)), "openedAt": .string(RFC3339.format(notice.openedAt)),
      "closedAt": notice.closedAt.map { .string(RFC3339.format($0)) } ?? .null,
    ]
  }
}
