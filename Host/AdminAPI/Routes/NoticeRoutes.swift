import HTTPServer
import Identity
import JSONDocument
import Notices
import Postgres

/// What somebody should know or do.
enum NoticeRoutes {
  private static let shape = Schema.object([
    .required("id", .id), .required("siteId", .nullable(.id), "Null for the host as a whole"),
    .required("kind", .string(1...100)), .required("severity", .choice(NoticeSeverity.allCases.map(\.rawValue))),
    .required("title", .string(1...1000)), .required("message", .string(0...4000)),
    .required("subject", .nullable(.string(1...200)), "What it is about, such as connection:12"),
    .required("count", .id, "How often its cause happened"), .required("openedAt", .instant),
    .required("lastAt", .instant), .required("closedAt", .nullable(.instant), "When its cause was gone"),
    .required("readAt", .nullable(.instant)), .required("dismissedAt", .nullable(.instant)),
  ])

  private static let setting = Schema.choice(NoticeInbox.MailSetting.allCases.map(\.rawValue))
  private static let settings = Schema.object([
    .required("email", .nullable(setting), "Mails from this severity on; null: as the role decides")
  ])

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/notices",
      summary: "Notices of the sites that the token reaches and, for owners and operators, of the host; newest first",
      access: .signedIn,
      query: [
        .optional("siteId", .id, "Only this site"), .cursor, .limit,
        .optional("state", .choice(NoticeInbox.State.allCases.map(\.rawValue)), "open when left out"),
        .optional("dismissed", .boolean, "Whether dismissed ones are shown too"),
      ],
      success: .page(shape),
      refusals: [404],
      handler: list
    ),
    Endpoint(
      method: .post,
      path: "/api/notices/{id}/read",
      summary: "Note that you have seen a notice",
      access: .signedIn,
      success: .json(200, shape),
      handler: { try await mark($0, isDismissed: false) }
    ),
    Endpoint(
      method: .post,
      path: "/api/notices/{id}/dismiss",
      summary: "Take a notice out of your list",
      access: .signedIn,
      success: .json(200, shape),
      handler: { try await mark($0, isDismissed: true) }
    ),
    Endpoint(
      method: .get,
      path: "/api/notices/settings",
      summary: "Which notices you get by e-mail",
      access: .signedIn,
      success: .json(200, settings),
      handler: { context in
        let setting = try await context.services.notices.mailSetting(of: context.caller().userID)
        return Envelope.ok(["email": .text(setting?.rawValue)])
      }
    ),
    Endpoint(
      method: .put,
      path: "/api/notices/settings",
      summary: "Choose which notices you get by e-mail",
      access: .signedIn,
      body: settings,
      success: .json(200, settings),
      handler: { context in
        let setting = context.string("email").flatMap(NoticeInbox.MailSetting.init)
        try await context.services.notices.setMail(setting, of: context.caller().userID)
        return Envelope.ok(["email": .text(setting?.rawValue)])
      }
    ),
  ]

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let limit = try context.pageLimit()
    let rows = try await context.services.notices.list(
      try reach(context),
      state: context.query["state"].flatMap(NoticeInbox.State.init) ?? .open,
      includesDismissed: context.query["dismissed"] == "true",
      before: try context.cursor(),
      limit: limit
    )
    return Envelope.page(rows.map(json), nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func mark(_ context: APIContext, isDismissed: Bool) async throws -> HTTPResponse {
    let id = try context.id()
    let notice = try await context.services.notices.mark(id, isDismissed: isDismissed, try reach(context))
    guard let notice else {
      throw HTTPProblem(
        status: 404,
        code: "notice_not_found",
        message: "There is no notice \(id) that the token reaches"
      )
    }
    return Envelope.ok(json(notice))
  }

  private static func reach(_ context: APIContext) throws -> NoticeInbox.Reach {
    let caller = try context.caller()
    guard let site = context.admittedSite else {
      return NoticeInbox.Reach(
        user: caller.userID,
        sites: Array(caller.roles.keys),
        includesHost: caller.isOperator || caller.roles.values.contains(.owner)
      )
    }
    return NoticeInbox.Reach(user: caller.userID, sites: [site], includesHost: false)
  }

  private static func json(_ notice: Notice) -> JSONValue {
    [
      "id": .int(notice.id), "siteId": .number(notice.site), "kind": .string(notice.kind),
      "severity": .string(notice.severity.rawValue), "title": .string(notice.title),
      "message": .string(notice.message), "subject": .text(notice.subject), "count": .int(Int64(notice.count)),
      "openedAt": .instant(notice.openedAt), "lastAt": .instant(notice.lastAt),
      "closedAt": .instant(notice.closedAt), "readAt": .instant(notice.readAt),
      "dismissedAt": .instant(notice.dismissedAt),
    ]
  }
}
