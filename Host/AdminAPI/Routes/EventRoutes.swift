import Events
import HTTPServer
import Identity

/// What happens, as it happens.
enum EventRoutes {
  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/events",
      summary: "Server-sent events of a site; send Last-Event-ID to go on where the stream broke",
      access: .site(.read),
      query: [.siteID],
      success: .other("text/event-stream"),
      handler: { context in
        try await context.services.events.stream(
          site: try context.site(),
          lastEventID: context.request.headers["last-event-id"]
        )
      }
    )
  ]
}
