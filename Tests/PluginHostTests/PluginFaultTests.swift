import Glibc
import JSONText
import PluginHost
import PluginProtocol
import Testing

/// What a plugin may do wrong, each time with a process of its own.
@Suite(.timeLimit(.minutes(1))) struct PluginFaultTests {
  @Test func aKilledPluginFailsItsCallsAndTheNextCallGetsANewProcess() async throws {
    let script = #"while :; do next; [ "${line#*hang}" = "$line" ] && result "$id" '{}'; done"#
    try await withPlugin(script) { plugin async throws in
      #expect(try await plugin.call() == .result(.emptyObject))
      let first = try #require(try plugin.status.pid)
      let hanging = try await plugin.begin("post/publish", try RawJSON(text: #"{"hang":true}"#))
      #expect(kill(first, SIGKILL) == 0)
      guard case .failed(.connectionLost) = await hanging.next() else { throw Unexpected() }
      #expect(try await plugin.call() == .result(.emptyObject))
      #expect(try plugin.status.pid != first)
      #expect(try plugin.status.restarts == 1)
      #expect(try plugin.status.lastExit == "signal 9")
    }
  }

  @Test func aResultWrittenJustBeforeTheEndStillCounts() async throws {
    try await withPlugin(#"next; result "$id" '{"last":true}'; exit 0"#) { plugin async throws in
      #expect(try await plugin.call() == .result(try RawJSON(text: #"{"last":true}"#)))
    }
  }

  @Test(arguments: [
    #"say '{"jsonrpc":"2.0","id":'"$id"',"result":}'"#,
    #"say '{"jsonrpc":"2.0","id":9007199254740991,"result":{}}'"#,
    #"say '{"jsonrpc":"1.0","id":'"$id"',"result":{}}'"#,
    #"say '{"jsonrpc":"2.0","id":77,"method":"host/http","params":{"call":"c999999999"}}'"#,
    #"say '{"jsonrpc":"2.0","id":7,"method":"host/http","params":{"call":"'"$call"'"}}'; say '{"jsonrpc":"2.0","id":7,"method":"host/http","params":{"call":"'"$call"'"}}'"#,
    #"printf '{'; i=0; while [ $i -lt 11 ]; do printf '%0100000d' 0; i=$((i+1)); done; say ''"#,
    #"say '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}'"#,
  ])
  func aBrokenRuleEndsTheProcessAndFailsEveryOpenCall(misdeed: String) async throws {
    // The second call is answered wrongly, so both are open then.
    let script = "next; next\n\(misdeed)\nwhile :; do next; done"
    try await withPlugin(script) { plugin async throws in
      let first = try await plugin.begin()
      let second = try await plugin.begin()
      for call in [first, second] {
        var message = await call.next()
        while case .request = message { message = await call.next() }
        guard case .failed(.protocolViolation) = message else { throw Unexpected() }
      }
    }
  }

  @Test func anAnswerGivenTwiceBreaksARule() async throws {
    let script = #"next; first=$id; next; result "$first" '{}'; result "$first" '{}'; while :; do next; done"#
    try await withPlugin(script) { plugin async throws in
      let first = try await plugin.begin()
      let second = try await plugin.begin()
      #expect(await first.next() == .result(.emptyObject))
      guard case .failed(.protocolViolation) = await second.next() else { throw Unexpected() }
    }
  }

  @Test func aRequestForAFinishedCallIsRefusedAndHarmsNobody() async throws {
    let script = #"""
      next; result "$id" '{}'
      say '{"jsonrpc":"2.0","id":5,"method":"host/http","params":{"call":"'"$call"'"}}'
      next; refusal=${line#*'"code":'}; next; result "$id" '{"code":'"${refusal%%,*}"'}'
      next
      """#
    try await withPlugin(script) { plugin async throws in
      #expect(try await plugin.call() == .result(.emptyObject))
      #expect(try await plugin.call() == .result(try RawJSON(text: #"{"code":-32602}"#)))
    }
  }

  @Test(arguments: [
    (#"next; result "$id" '{}'; next"#, "cannot be read"),
    (#"next; result "$id" '{"protocol":"9.0","plugin":{"id":"test","version":"1.0.0"},"methods":[]}'; next"#, "9.0"),
    (#"next; result "$id" '{"protocol":"1.0","plugin":{"id":"evil","version":"1.0.0"},"methods":[]}'; next"#, "evil"),
    (
      #"next; result "$id" '{"protocol":"1.0","plugin":{"id":"test","version":"1.0.0"},"methods":[]}'; next"#, "missing"
    ),
    (
      #"next; say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32002,"message":"too old"}}'; next"#,
      "another release"
    ),
    ("exit 78", "exit code 78"),
    ("exec >&-; sleep 3600", "output ended"),
  ])
  func aBadStartSaysWhy(script: String, reason: String) async throws {
    try await withPlugin(shakesHands: false, script) { plugin async throws in
      let error = await #expect(throws: PluginFailure.self) { try await plugin.begin() }
      guard case .quarantined(let text, let after) = error else { throw Unexpected() }
      #expect(text.contains(reason))
      #expect(after > .seconds(200))
      #expect(error?.mayHaveRun == false)
      #expect(try plugin.status.state == .quarantined)
      #expect(try plugin.status.quarantine?.reason.description == text)
    }
  }

  @Test func aStartThatNeverAnswersIsEnded() async throws {
    try await withPlugin(shakesHands: false, startMilliseconds: 100, "while :; do sleep 1; done") {
      plugin async throws in
      let error = await #expect(throws: PluginFailure.self) { try await plugin.begin() }
      guard case .startFailed(let text) = error else { throw Unexpected() }
      #expect(text.contains("did not answer initialize"))
    }
  }

  @Test func everyoneWhoWaitsForAFailingStartLearnsIt() async throws {
    try await withPlugin(shakesHands: false, "next; exit 3") { plugin async throws in
      await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<5 {
          group.addTask {
            do {
              _ = try await plugin.begin()
              return false
            } catch let error as PluginFailure {
              return !error.mayHaveRun
            } catch {
              return false
            }
          }
        }
        for await refused in group {
          #expect(refused)
        }
      }
    }
  }

  @Test func aDeadlineCancelsAndThenFailsTheCall() async throws {
    let script = #"""
      next; first=$id; next
      [ "${line#*cancel}" = "$line" ] && exit 9
      next; result "$first" '{}'; result "$id" '{}'; next
      """#
    try await withPlugin(script) { plugin async throws in
      let slow = try await plugin.begin(deadline: .milliseconds(20))
      #expect(await slow.next() == .failed(.deadlineExceeded))
      let pid = try plugin.status.pid
      // The late answer to the first call is dropped, and the process lives.
      #expect(try await plugin.call() == .result(.emptyObject))
      #expect(try plugin.status.pid == pid)
    }
  }

  @Test func aPluginThatLeavesThreeCallsUnansweredIsReplaced() async throws {
    let script = #"while :; do next; [ "${line#*good}" = "$line" ] || result "$id" '{}'; done"#
    try await withPlugin(script) { plugin async throws in
      var calls: [PluginCall] = []
      for _ in 0..<3 { calls.append(try await plugin.begin(deadline: .milliseconds(20))) }
      let pid = try plugin.status.pid
      let bystander = try await plugin.begin()
      for call in calls {
        #expect(await call.next() == .failed(.deadlineExceeded))
      }
      guard case .failed(.connectionLost(let reason)) = await bystander.next() else { throw Unexpected() }
      #expect(reason.contains("unanswered"))
      #expect(try await plugin.call(try RawJSON(text: #"{"good":1}"#)) == .result(.emptyObject))
      #expect(try plugin.status.pid != pid)
    }
  }

  @Test func aCancelledCallEndsAsCancelled() async throws {
    let script = #"""
      next; mine=$id; next
      [ "${line#*cancel}" = "$line" ] && exit 9
      say '{"jsonrpc":"2.0","id":'"$mine"',"error":{"code":-32800,"message":"given up"}}'; next
      """#
    try await withPlugin(script) { plugin async throws in
      let call = try await plugin.begin()
      call.cancel()
      #expect(await call.next() == .failed(.cancelled))
    }
  }

  @Test func aCancelledTaskCancelsItsCall() async throws {
    let script = #"""
      next; mine=$id
      say '{"jsonrpc":"2.0","id":1,"method":"host/http","params":{"call":"'"$call"'"}}'
      next
      [ "${line#*cancel}" = "$line" ] && exit 9
      say '{"jsonrpc":"2.0","id":'"$mine"',"error":{"code":-32800,"message":"given up"}}'; next
      """#
    try await withPlugin(script) { plugin async throws in
      let call = try await plugin.begin()
      guard case .request = await call.next() else { throw Unexpected() }
      let waiting = Task { await call.next() }
      waiting.cancel()
      #expect(await waiting.value == .failed(.cancelled))
    }
  }

  @Test func aResultThatCrossesTheCancellationCounts() async throws {
    try await withPlugin(#"next; mine=$id; next; result "$mine" '{"done":1}'; next"#) { plugin async throws in
      let call = try await plugin.begin()
      call.cancel()
      #expect(await call.next() == .result(try RawJSON(text: #"{"done":1}"#)))
    }
  }
}
