import Audit
import AuditChain
import FoundationEssentials
import HTTPServer
import Identity
import JSONDocument
import Postgres

/// The audit trail, for those who look after a site or the host.
enum AuditRoutes {
  private static let entry = Schema.object([
    .required("id", .id), .required("siteId", .nullable(.id), "Null for what belongs to the host"),
    .required("userId", .nullable(.id), "Null when the host itself or the command line did it"),
    .required("user", .nullable(.string(0...200)), "The user's name today"),
    .required("action", .string(1...100), "Such as post.update"),
    .required("subject", .string(0...1000), "Such as post:12"), .required("details", .map(.any, limit: 100)),
    .required("address", .nullable(.string(0...200))), .required("userAgent", .nullable(.string(0...300))),
    .required("at", .instant), .required("isSealed", .boolean, "False for some seconds"),
    .required("seq", .nullable(.id), "The place in the chain"),
    .required("hash", .nullable(.string(64...64)), "What the next row of the chain names, in hexadecimal"),
  ])

  private static let filters: [Schema.Field] = [
    .optional("siteId", .id, "Only this site; operators who leave it out get all sites and the host"),
    .optional("userId", .id, "Only what this user did"),
    .optional("action", .string(1...100), "Only actions whose names begin so, such as vault."),
    .optional("subject", .string(1...1000), "Only what was done to this, such as connection:12"),
    .optional("since", .instant, "From this instant on"), .optional("until", .instant, "Before this instant"),
  ]

  private static let formats = ["csv", "jsonl"]
  private static let rowsPerRead = 500

  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/audit",
      summary: "Who did what, newest first",
      access: .siteOrHost(.manageSite),
      query: filters + [.cursor, .limit],
      success: .page(entry),
      handler: list
    ),
    Endpoint(
      method: .get,
      path: "/api/audit/export",
      summary: "Who did what as a file, newest first; the export stands in the trail as well",
      access: .siteOrHost(.manageSite),
      query: filters + [.required("format", .choice(formats), "Lines of JSON, or comma-separated values")],
      success: .other("*/*"),
      handler: export
    ),
  ]

  private static func filter(_ context: APIContext) throws -> AuditLog.Filter {
    var filter = AuditLog.Filter()
    filter.site = context.admittedSite
    filter.user = try context.query.int64("userId", 1...Int64.max)
    filter.actionPrefix = context.query["action"]
    filter.subject = context.query["subject"]
    filter.since = context.query["since"].flatMap(RFC3339.parse)
    filter.until = context.query["until"].flatMap(RFC3339.parse)
    return filter
  }

  private static func list(_ context: APIContext) async throws -> HTTPResponse {
    let (cursor, limit) = (try context.cursor(), try context.pageLimit())
    let log = AuditLog(pool: context.services.pool)
    let rows = try await log.list(try filter(context), before: cursor, limit: limit)
    return Envelope.page(try rows.map { try $0.json() }, nextCursor: rows.count == limit ? rows.last?.id : nil)
  }

  private static func export(_ context: APIContext) async throws -> HTTPResponse {
    let filter = try filter(context)
    guard let format = context.query["format"] else {
      throw HTTPProblem(
        status: 400,
        code: "missing",
        message: "format is missing; allowed are: \(formats.joined(separator: ", "))",
        field: "format"
      )
    }
    let pool = context.services.pool
    // Operators may name any site; the row of this export belongs to it.
    if let site = filter.site, try await pool.query("SELECT FROM sites WHERE id = \(site)").isEmpty {
      throw HTTPProblem(status: 404, code: "site_not_found", message: "There is no site \(site)", field: "siteId")
    }
    try await pool.execute(
      context.audit(
        .auditExport,
        filter.site.map { "site:\($0)" } ?? "host",
        site: filter.site,
        details: "jsonb_build_object('format', \(format)::text)"
      )
    )
    let isCSV = format == "csv"
    let log = AuditLog(pool: pool)
    var response = HTTPResponse.stream(
      contentType: isCSV ? "text/csv; charset=utf-8; header=present" : "application/jsonl; charset=utf-8"
    ) { writer in
      if isCSV { try await writer.write(AuditCSV.head) }
      var cursor: Int64?
      // Page by page, so that a long trail is never in memory as a whole.
      while true {
        let rows = try await log.list(filter, before: cursor, limit: rowsPerRead)
        var text = ""
        for row in rows { text += isCSV ? AuditCSV.line(row) : try row.json().text() + "\n" }
        if !text.isEmpty { try await writer.write(text) }
        guard rows.count == rowsPerRead, let last = rows.last else { return }
        cursor = last.id
      }
    }
    response.headers.set("content-disposition", "attachment; filename=\"audit.\(format)\"")
    response.headers.set("cache-control", "no-store")
    return response
  }
}
