import FoundationEssentials
import Glibc
import JSONText
import Logging
import Processes
import Testing

@testable import PluginHost

/// Plugins that misbehave on purpose: each ends in quarantine with the right reason, and its neighbour does not notice.
///
/// How much memory they cost the host and how much they slow others down is measured in Tests/Faults/test_plugins.py,
/// where the host is a process of its own.
@Suite(.timeLimit(.minutes(2))) struct BadPluginTests {
  struct Offender: Sendable, CustomTestStringConvertible {
    let name: String
    let script: String
    let kind: String
    /// Words of the reason.
    var says = ""
    var shakesHands = true
    var claims: String?

    var testDescription: String { name }
  }

  private static let offenders = [
    Offender(name: "exits at once", script: "exit 3", kind: "startFailed", says: "exit code 3", shakesHands: false),
    Offender(name: "exits at its first call", script: "next; exit 0", kind: "exited", says: "exit code 0"),
    Offender(name: "prints garbage", script: #"next; say '{"jsonrpc":'; next"#, kind: "protocolViolation"),
    Offender(
      name: "writes a line of a gigabyte",
      script: "next; printf '{'; /usr/bin/head -c 1000000000 /dev/zero | /usr/bin/tr '\\0' 'x'; next",
      kind: "protocolViolation",
      says: "longer than 1048576 bytes"
    ),
    Offender(
      name: "dies in the middle of a frame",
      script: #"next; printf '{"jsonrpc":"2.0","id":'; exit 1"#,
      kind: "exited",
      says: "exit code 1"
    ),
    Offender(
      name: "answers with a wrong id",
      script: #"next; result 9007199254740991 '{}'; next"#,
      kind: "protocolViolation",
      says: "is not open"
    ),
    Offender(
      name: "answers twice",
      script: #"next; result "$id" '{}'; result "$id" '{}'; next"#,
      kind: "protocolViolation",
      says: "is not open"
    ),
    Offender(
      name: "answers what nobody asked",
      script: #"next; i=0; while [ $i -lt 10000 ]; do result 123456789 '{}'; i=$((i+1)); done; next"#,
      kind: "protocolViolation",
      says: "is not open"
    ),
    // Ten at once, because the first may be answered before the second is read: then its number is free again.
    Offender(
      name: "uses one number for two requests",
      script:
        #"next; a='{"jsonrpc":"2.0","id":7,"method":"host/http","params":{"call":"'"$call"'"}}'; printf '%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n' "$a" "$a" "$a" "$a" "$a" "$a" "$a" "$a" "$a" "$a"; next; next; next"#,
      kind: "protocolViolation",
      says: "two requests at once"
    ),
    Offender(
      name: "floods standard error",
      script: "next; /usr/bin/yes complaint >&2",
      kind: "flood",
      says: "standard error"
    ),
    Offender(
      name: "floods its output beside the protocol",
      script: "next; /usr/bin/yes chatter",
      kind: "flood",
      says: "no messages"
    ),
    Offender(name: "aborts", script: "next; kill -ABRT $$", kind: "signaled", says: "signal 6"),
    Offender(
      name: "closes its output and stays",
      script: "next; exec >&-; while :; do /bin/sleep 60; done",
      kind: "outputEnded"
    ),
    Offender(
      name: "lies about its version",
      script: "next",
      kind: "manifestMismatch",
      says: "its manifest says bad 1.0.0",
      claims: "6.6.6"
    ),
  ]

  @Test(arguments: offenders) func endsInQuarantineWithTheRightReason(offender: Offender) async throws {
    try await Zoo.open { zoo in
      let bad = try await zoo.plugin(
        offender.script,
        id: "bad",
        claims: offender.claims,
        shakesHands: offender.shakesHands
      )
      let good = try await zoo.plugin(Zoo.echo, id: "good")
      await zoo.host.apply([bad, good])
      var number = 0
      while zoo.status("bad")?.state != .quarantined {
        number += 1
        try #require(number < 200)
        let message = await zoo.call("bad", job: "job \(number)")
        if case .failed(.backingOff(let after)) = message { try await Task.sleep(for: after) }
        guard case .result = await zoo.call("good") else { throw Unexpected() }
      }
      let quarantine = try #require(zoo.status("bad")?.quarantine)
      #expect(quarantine.reason.kind == offender.kind)
      #expect("\(quarantine.reason)".contains(offender.says))
      #expect(quarantine.until != nil)
      #expect(quarantine.frames.count <= 20)
      #expect(quarantine.frames.contains { $0.method == "initialize" } || offender.shakesHands)
      #expect(quarantine.errorLines.reduce(0) { $0 + $1.utf8.count } <= 65_536)
      guard case .failed(.quarantined) = await zoo.call("bad") else { throw Unexpected() }
      #expect(zoo.status("good")?.counters.crashes == 0)
      #expect(zoo.status("good")?.restarts == 0)
      let told = await zoo.event("bad") { if case .quarantined(_, let why) = $0 { why } else { nil } }
      #expect(told.reason == quarantine.reason)
    }
  }

  @Test func oneThatHangsIsEndedAndItsCallsWithIt() async throws {
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin("next; while :; do /bin/sleep 60; done", id: "bad")])
      // Nothing is heard for five seconds, then it does not answer whether it lives.
      guard case .failed(.connectionLost(let reason)) = await zoo.call("bad") else { throw Unexpected() }
      #expect(reason.contains("health/check"))
      let kind = await zoo.event("bad") { if case .crashed(_, let why) = $0 { why.kind } else { nil } }
      #expect(kind == "unresponsive")
    }
  }

  @Test func oneThatIsSlowButAliveIsLeftAlone() async throws {
    let script = #"""
      next; slow=$id
      while :; do
        next; result "$id" '{}'
        case $line in *health/check*) result "$slow" '{"late":true}';; esac
      done
      """#
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "slow")])
      #expect(await zoo.call("slow") == .result(try RawJSON(text: #"{"late":true}"#)))
      #expect(zoo.status("slow")?.counters.crashes == 0)
    }
  }

  @Test func oneThatEatsMemoryIsEndedByTheWatch() async throws {
    // What the jail does with a cgroup or by looking: the watch says so, the host ends the process.
    let watch: InstalledPlugin.LimitWatch = { process, exceeded in
      let looking = Task {
        while !Task.isCancelled {
          if let used = Self.residentKiB(process.pid), used > 64 << 10 {
            return exceeded("it used \(used >> 10) of 64 MiB of memory")
          }
          await Task.yield()
        }
      }
      return InstalledPlugin.RunningWatch { looking.cancel() }
    }
    let script = "next; a=0123456789abcdef; while :; do a=$a$a; done"
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "bad", watch: watch)])
      var number = 0
      while zoo.status("bad")?.state != .quarantined {
        number += 1
        try #require(number < 50)
        let message = await zoo.call("bad", job: "job \(number)")
        if case .failed(.backingOff(let after)) = message { try await Task.sleep(for: after) }
      }
      let reason = try #require(zoo.status("bad")?.quarantine?.reason)
      #expect(reason.kind == "limitExceeded")
      #expect("\(reason)".contains("of 64 MiB"))
    }
  }

  @Test func oneThatForksLeavesNothingBehind() async throws {
    let script = #"next; for i in 1 2 3 4 5 6 7 8; do /bin/sleep 3600 & done; result "$id" '{}'; next; exit 1"#
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "bad")])
      _ = await zoo.call("bad")
      let pid = try #require(zoo.status("bad")?.pid)
      let children = Self.children(of: pid)
      #expect(children.count == 8)
      _ = await zoo.call("bad")
      _ = await zoo.event("bad") { if case .crashed = $0 { true } else { nil } }
      while children.contains(where: { kill($0, 0) == 0 && !Self.isZombie($0) }) { await Task.yield() }
    }
  }

  @Test func oneThatIgnoresTermIsKilled() async throws {
    let script = "trap '' TERM; next; result \"$id\" '{}'; while :; do /bin/sleep 1; done"
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "bad")])
      _ = await zoo.call("bad")
      let pid = try #require(zoo.status("bad")?.pid)
      await zoo.host.apply([])
      // Two seconds to drain, five to end, three after TERM.
      while kill(pid, 0) == 0 { try await Task.sleep(for: .milliseconds(50)) }
      #expect(zoo.status("bad") == nil)
    }
  }

  @Test func aJobOfWhichThePluginDiesIsParkedAndThePluginGoesOn() async throws {
    let script = #"""
      while :; do
        next
        case $line in *poison*) exit 7;; esac
        result "$id" "$params"
      done
      """#
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "test")])
      let poison = try RawJSON(text: #"{"poison":true}"#)
      for _ in 0..<2 {
        guard case .failed(.connectionLost) = await zoo.call("test", poison, job: "13") else { throw Unexpected() }
      }
      guard case .failed(.jobParked(let reason)) = await zoo.call("test", poison, job: "13") else { throw Unexpected() }
      #expect(reason.contains("exit code 7"))
      guard case .result = await zoo.call("test", job: "14") else { throw Unexpected() }
      let parked = await zoo.event("test") { if case .jobParked(_, let job, _) = $0 { job } else { nil } }
      #expect(parked == "13")
      zoo.host.release("test")
      guard case .failed(.connectionLost) = await zoo.call("test", poison, job: "13") else { throw Unexpected() }
    }
  }

  @Test func aKillFromOutsideBlamesNobody() async throws {
    let script = #"while :; do next; case $line in *hang*) ;; *) result "$id" "$params";; esac; done"#
    try await Zoo.open { zoo in
      await zoo.host.apply([try await zoo.plugin(script, id: "test")])
      for _ in 0..<4 {
        guard case .result = await zoo.call("test") else { throw Unexpected() }
        let hang = try RawJSON(text: #"{"hang":true}"#)
        let call = try await zoo.host.begin(
          "post/publish",
          plugin: "test",
          params: hang,
          deadline: .seconds(30),
          job: "same"
        )
        _ = kill(try #require(zoo.status("test")?.pid), SIGKILL)
        guard case .failed(.connectionLost) = await call.next() else { throw Unexpected() }
      }
      #expect(zoo.status("test")?.quarantine == nil)
      #expect(zoo.happened("test").allSatisfy { if case .jobParked = $0 { false } else { true } })
    }
  }

  // MARK: Looking

  private static func residentKiB(_ pid: Int32) -> Int? {
    // A process that has ended has no file; then there is nothing to measure.
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return pages * 4
  }

  private static func stat(_ pid: Int32) -> [Substring] {
    // As above.
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return [] }
    return text[text.index(end, offsetBy: 2)...].split(separator: " ")
  }

  private static func isZombie(_ pid: Int32) -> Bool { stat(pid).first == "Z" }

  private static func children(of parent: Int32) -> [Int32] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap { Int32($0) }.filter { stat($0).dropFirst().first == "\(parent)" }
  }
}
