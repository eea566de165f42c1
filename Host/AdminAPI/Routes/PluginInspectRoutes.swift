import HTTPServer
import JSONDocument
import PluginHost
import PluginManifest

/// What a running plugin and the host say to each other, as it happens.
enum PluginInspectRoutes {
  static let endpoints: [Endpoint] = [
    Endpoint(
      method: .get,
      path: "/api/plugins/{plugin}/frames",
      summary: "Server-sent events, one for each frame between the host and a plugin; frames hold no secrets",
      access: .operatorOnly,
      success: .other("text/event-stream"),
      handler: frames
    )
  ]

  /// How often a stream looks whether somebody still watches.
  private static let interval = Duration.seconds(5)

  private static func frames(_ context: APIContext) async throws -> HTTPResponse {
    let name = try context.request.parameters.string("plugin")
    let plugins = context.services.plugins
    let id = plugins.manifests.first { $0.aliases.contains(name) }?.id ?? name
    guard let frames = plugins.tap(id) else {
      throw HTTPProblem(status: 404, code: "notFound", message: "No plugin \(name) is installed")
    }
    let channel = EventChannel(joinInterval: .milliseconds(20))
    let watched = Watched(channel: channel)
    // Ends with the plugin or with its client, whose answer holds the channel; so nobody has to wait for it.
    Task.detached {
      await withTaskGroup { group in
        group.addTask { await publish(frames, to: watched) }
        group.addTask { await waitForEnd(of: watched) }
        await group.next()
        group.cancelAll()
      }
    }
    return .events(channel)
  }

  /// The channel of a client, which goes away with the client.
  private struct Watched: Sendable {
    weak let channel: EventChannel?
  }

  private static func publish(_ frames: AsyncStream<FrameRecord>, to watched: Watched) async {
    for await frame in frames {
      guard let channel = watched.channel else { return }
      channel.publish(event(frame))
    }
  }

  private static func waitForEnd(of watched: Watched) async {
    while watched.channel != nil, !Task.isCancelled {
      // A canceled sleep only ends the loop sooner.
      try? await Task.sleep(for: interval)
    }
  }

  private static func event(_ frame: FrameRecord) -> ServerSentEvent {
    let value: JSONValue = [
      "at": .string(RFC3339.format(frame.at)), "toPlugin": .bool(frame.direction == .toPlugin),
      "bytes": .int(Int64(frame.size)), "method": frame.method.map { .string($0) } ?? .null,
      "id": frame.id.map { .int($0) } ?? .null, "text": .string(frame.text),
    ]
    return ServerSentEvent(event: "frame", data: value.text())
  }
}
