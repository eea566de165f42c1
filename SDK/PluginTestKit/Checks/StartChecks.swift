import PluginProtocol
import PluginTransport

/// Group 1: the first messages.
enum StartChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck(
      "start.initialize",
      "answers initialize in time, with the id, version and methods of its manifest"
    ) { context in
      let host = context.host(account: Account(id: "1", name: "Conformance"))
      let session = try AdapterSession(context.launch, host: host, ledger: context.ledger)
      let answer = try await session.initialize(within: context.limit(.milliseconds(context.manifest.startMs)))
      let manifest = context.manifest
      try require(
        answer.plugin.id == manifest.id,
        "says it is “\(answer.plugin.id)”, the manifest says “\(manifest.id)”"
      )
      try require(
        answer.plugin.version == manifest.version,
        "says it is version \(answer.plugin.version), the manifest says \(manifest.version)"
      )
      let methods = answer.methods.sorted()
      try require(methods == manifest.methods, "answers \(methods), the manifest says \(manifest.methods)")
      try require(
        answer.version == .current,
        "chose protocol \(answer.version), offered was \(ProtocolVersion.current)"
      )
      return nil
    },
    ConformanceCheck("start.version", "refuses a protocol version that it does not speak with -32002") { context in
      let process = try await context.raw(initialized: false)
      let future = ProtocolVersion(major: 99, minor: 0)
      let request = InitializeRequest(
        versions: ProtocolRange(min: future, max: future),
        hostVersion: "conformance",
        plugin: PluginIdentity(id: context.manifest.id, version: context.manifest.version)
      )
      process.send(Frame.request(id: 1, method: InitializeRequest.method, params: request))
      let error = try await context.failure(1, from: process, to: "initialize with protocol 99.0")
      try require(error.code == ErrorKind.versionMismatch.code, "refused with \(error.code.rawValue)")
      return nil
    },
    ConformanceCheck("start.order", "refuses a call before initialize with -32600") { context in
      let process = try await context.raw(initialized: false)
      let account = Account(id: "1", name: "Conformance")
      let call = RenderPostRequest(meta: CallMeta(call: "c-1"), account: account, post: Post(text: "a"))
      process.send(Frame.request(id: 7, method: RenderPostRequest.method, params: call))
      let error = try await context.failure(7, from: process, to: "post/render before initialize")
      try require(error.code == ErrorKind.invalidRequest.code, "refused with \(error.code.rawValue)")
      return nil
    },
    ConformanceCheck("start.twice", "refuses a second initialize with -32600") { context in
      let process = try await context.raw()
      process.send(context.initializeFrame(id: 2))
      let error = try await context.failure(2, from: process, to: "a second initialize")
      try require(error.code == ErrorKind.invalidRequest.code, "refused with \(error.code.rawValue)")
      return nil
    },
    ConformanceCheck("start.by-hand", "started with an argument it explains itself on stderr and exits with 64") {
      context in
      let process = try await context.raw(initialized: false, arguments: ["--help"])
      let exit = try require(await process.exit(within: context.limit(.seconds(5))), "still runs after 5 s")
      try require(exit == .status(64), "ended with \(exit)")
      try require(process.current.frames.isEmpty, "wrote frames to stdout")
      // Another thread reads it, and may be behind the end of the process.
      let said: Bool? = await process.first(within: context.limit(.seconds(2))) { $0.errors.isEmpty ? nil : true }
      try require(said != nil, "wrote nothing to stderr")
      return nil
    },
  ]
}
