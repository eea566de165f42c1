import Glibc
import JSONText
import Logging
import PluginHost
import PluginManifest
import PluginProtocol
import Processes
import ServiceTree
import Testing

@Suite(.timeLimit(.minutes(1))) struct PluginHostTests {
  /// Answers every call with the params it got.
  private let echo = #"while :; do next; result "$id" "$params"; done"#

  @Test func carriesACallAndAddsTheMeta() async throws {
    try await withPlugin(echo) { plugin async throws in
      let call = try await plugin.begin("post/publish", try RawJSON(text: #"{"text":"hi"}"#), deadline: .seconds(7))
      guard case .result(let result) = await call.next() else { throw Unexpected() }
      let object = try result.object()
      #expect(try object.string("text") == "hi")
      let meta = try object.object("_meta")
      #expect(try meta.string("call") == call.id)
      #expect(try meta.int64("deadlineMs") == 7_000)
      #expect(try meta.int64("attempt") == 1)
      #expect(call.pluginVersion == "1.0.0")
      #expect(try plugin.status.state == .running)
      #expect(try plugin.status.openCalls == 0)
    }
  }

  @Test func theLastMessageCanBeTakenAgain() async throws {
    try await withPlugin(echo) { plugin async throws in
      let call = try await plugin.begin()
      let first = await call.next()
      #expect(await call.next() == first)
    }
  }

  @Test func carriesManyCallsAtOnceToTheRightCallers() async throws {
    try await withPlugin(echo) { plugin async throws in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<200 {
          group.addTask {
            let message = try await plugin.call(RawJSON.object { $0.field("number", number) })
            guard case .result(let result) = message else { throw Unexpected() }
            #expect(try result.object().int64("number") == Int64(number))
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func bringsRequestsToTheirCallAndAnswersBack() async throws {
    let script = #"""
      while :; do
        next; mine=$id
        say '{"jsonrpc":"2.0","id":1'"$mine"',"method":"host/http","params":{"call":"'"$call"'","rule":"r"}}'
        next; answer=${line#*'"result":'}; result "$mine" "${answer%?}"
      done
      """#
    try await withPlugin(script) { plugin async throws in
      let call = try await plugin.begin()
      guard case .request(let request) = await call.next() else { throw Unexpected() }
      #expect(request.method == "host/http")
      #expect(try request.params.object().string("rule") == "r")
      call.answer(request, result: try RawJSON(text: #"{"status":201}"#))
      // Answered once only.
      call.answer(request, result: .null)
      #expect(await call.next() == .result(try RawJSON(text: #"{"status":201}"#)))
    }
  }

  @Test func passesOnTheErrorsOfAPlugin() async throws {
    let script =
      #"next; say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":1010,"message":"slow down","data":{"kind":"rateLimited","retryAfterMs":5000}}}'; next"#
    try await withPlugin(script) { plugin async throws in
      guard case .failed(let failure) = try await plugin.call() else { throw Unexpected() }
      guard case .remote(let error) = failure else { throw Unexpected() }
      #expect(error.kind == .rateLimited)
      #expect(failure.retryAfter == .seconds(5))
      #expect(failure.kind == "rateLimited")
    }
  }

  @Test func refusesWhatItDoesNotHave() async throws {
    try await withPlugin(echo) { plugin async throws in
      await #expect(throws: PluginFailure.notInstalled("other")) {
        try await plugin.host.begin("post/publish", plugin: "other", params: .emptyObject, deadline: .seconds(1))
      }
      await #expect(throws: PluginFailure.methodNotDeclared("post/delete")) { try await plugin.begin("post/delete") }
      #expect(plugin.host.manifest(for: "probe")?.id == "test")
      #expect(plugin.host.manifest(for: "other") == nil)
      #expect(try plugin.status.pid == nil)
    }
  }

  @Test func aRequestOverTheFrameCapIsRefusedBeforeItIsSent() async throws {
    try await withPlugin(echo) { plugin async throws in
      let text = String(repeating: "x", count: 1_048_576)
      let error = await #expect(throws: PluginFailure.self) {
        try await plugin.begin("post/publish", RawJSON.object { $0.field("text", text) })
      }
      #expect(error?.mayHaveRun == false)
      #expect(try await plugin.call() != .failed(.overloaded))
    }
  }

  @Test func keepsToTheLimitOfOpenCalls() async throws {
    try await withPlugin(inFlight: 2, "while :; do next; done") { plugin async throws in
      _ = try await plugin.begin()
      _ = try await plugin.begin()
      await #expect(throws: PluginFailure.overloaded) { try await plugin.begin() }
      #expect(try plugin.status.openCalls == 2)
    }
  }

  @Test func aPluginThatDoesNotReadFillsItsOutboxOnly() async throws {
    try await withPlugin("while :; do sleep 1; done") { plugin async throws in
      let params = RawJSON.object { $0.field("text", String(repeating: "x", count: 900_000)) }
      var taken = 0
      let error = await #expect(throws: PluginFailure.self) {
        while true {
          _ = try await plugin.begin("post/publish", params)
          taken += 1
        }
      }
      #expect(error == .overloaded)
      #expect((8...16).contains(taken))
    }
  }

  @Test func givesAPluginNothingButItsThreeVariablesAndDescriptors() async throws {
    let script = #"""
      next
      env=$(tr '\0' ';' < /proc/$$/environ); args=$(tr '\0' ';' < /proc/$$/cmdline); fds=$(echo /proc/$$/fd/*)
      result "$id" '{"env":"'"$env"'","args":"'"$args"'","fds":"'"$fds"'","cwd":"'"$(pwd -P)"'"}'
      next
      """#
    // Descriptors of this process that an exec would keep open.
    let leaks = [fcntl(2, F_DUPFD, 20), fcntl(2, F_DUPFD, 200)]
    defer { for leak in leaks { close(leak) } }
    try await withPlugin(script) { plugin async throws in
      guard case .result(let result) = try await plugin.call() else { throw Unexpected() }
      let object = try result.object()
      let names = try object.string("env").split(separator: ";").map { $0.prefix { $0 != "=" } }
      #expect(names == ["LANG", "SWIFT_ROOT", "TZ"])
      #expect(try object.string("cwd") == "/")
      // The kernel adds the interpreter before the script's path; nothing follows.
      #expect(try object.string("args").split(separator: ";").count == 2)
      // The shell itself opens a few more: the script, and the pipe of a substitution.
      let descriptors = try object.string("fds").split(separator: " ").compactMap { $0.split(separator: "/").last }
      #expect(Set(descriptors).isSuperset(of: ["0", "1", "2"]))
      #expect(Set(descriptors).isSubset(of: ["0", "1", "2", "3", "10"]))
    }
  }

  @Test func logsStraysMessagesAndStandardErrorAndGoesOn() async throws {
    let script = #"""
      say 'Loading, please wait'
      echo 'something odd' >&2
      say '{"jsonrpc":"2.0","method":"host/log","params":{"level":"warning","message":"Careful","fields":{"n":1}}}'
      say '{"jsonrpc":"2.0","method":"host/unheard-of","params":{}}'
      while :; do next; result "$id" '{}'; done
      """#
    try await withPlugin(script) { plugin async throws in
      #expect(try await plugin.call() == .result(.emptyObject))
      let stray = await plugin.log.first { $0.message == "Plugin wrote a stray line to its output" }
      #expect(stray.fields["line"] == .string("Loading, please wait"))
      #expect(stray.fields["plugin"] == .string("test"))
      let message = await plugin.log.first { $0.message == "Plugin says" }
      #expect(message.level == .warning)
      #expect(message.fields["text"] == .string("Careful"))
      #expect(message.fields["plugin.n"] == .string("1"))
      let error = await plugin.log.first { $0.message == "Plugin wrote to standard error" }
      #expect(error.fields["line"] == .string("something odd"))
      #expect(try plugin.status.lastErrorLines == ["something odd"])
    }
  }

  @Test func aFloodOfStandardErrorNeitherBlocksNorFillsTheLog() async throws {
    let script = #"""
      next
      i=0; while [ $i -lt 5000 ]; do echo "line $i of a long complaint" >&2; i=$((i+1)); done
      result "$id" '{}'; next
      """#
    try await withPlugin(script) { plugin async throws in
      #expect(try await plugin.call() == .result(.emptyObject))
      let lines = plugin.log.records.count { $0.message == "Plugin wrote to standard error" }
      // One more, if a minute began during the test.
      #expect((1...600).contains(lines))
      #expect(try plugin.status.lastErrorLines.reduce(0) { $0 + $1.utf8.count } <= 65_536)
    }
  }

  @Test func stopsItsPluginsWithTheServices() async throws {
    try await withPlugin(echo) { plugin async throws in
      _ = try await plugin.call()
      let pid = try #require(try plugin.status.pid)
      let ends = ClosureService(name: "ends") {}
      try await ServiceGroup(services: [plugin.host, ends], logger: Logger(sink: plugin.log)).run()
      #expect(kill(pid, 0) == -1)
      #expect(try plugin.status.state == .stopped)
      #expect(try plugin.status.lastExit == "exit code 0")
      await #expect(throws: PluginFailure.shuttingDown) { try await plugin.begin() }
    }
  }
}

struct Unexpected: Error {}
