import JSONText
import PluginProtocol
import PluginTransport
import Synchronization
import Testing

@Suite struct ConnectionTests {
  private static func silent() -> Connection.Handlers {
    Connection.Handlers(request: { _, _ in .success(EmptyMessage()) })
  }

  @Test func answersReachTheirCallsInAnyOrder() async throws {
    let gate = Gate()
    let pair = LocalConnection(
      host: Self.silent(),
      plugin: Connection.Handlers(request: { method, params in
        if method == "slow" { await gate.wait() }
        return .success(params)
      })
    )
    async let slow = pair.host.call(method: "slow", params: RawJSON.object { $0.field("n", 1) })
    for n in 2..<50 {
      let answer = try await pair.host.call(method: "fast", params: RawJSON.object { $0.field("n", n) })
      #expect(answer.text == "{\"n\":\(n)}")
    }
    gate.open()
    #expect(try await slow.text == "{\"n\":1}")
  }

  @Test func closingFailsEveryOpenCall() async {
    let gate = Gate()
    let started = Gate()
    let pair = LocalConnection(
      host: Self.silent(),
      plugin: Connection.Handlers(request: { _, _ in
        started.open()
        await gate.wait()
        return .success(EmptyMessage())
      })
    )
    let call = Task { try await pair.host.call(method: "a", params: EmptyMessage()) }
    await started.wait()
    pair.close()
    await #expect { try await call.value } throws: { ($0 as? ProtocolError)?.kind == .connectionLost }
    await #expect { try await pair.host.call(method: "b", params: EmptyMessage()) } throws: {
      ($0 as? ProtocolError)?.kind == .connectionLost
    }
    gate.open()
  }

  @Test func cancelReachesTheOtherSideAndTheAnswerStillComes() async {
    let started = Gate()
    let pair = LocalConnection(
      host: Self.silent(),
      plugin: Connection.Handlers(request: { _, _ in
        started.open()
        let canceled = Gate()
        await withTaskCancellationHandler {
          await canceled.wait()
        } onCancel: {
          canceled.open()
        }
        return .failure(ProtocolError(.cancelled, "given up"))
      })
    )
    let task = Task { try await pair.host.call(method: "a", params: EmptyMessage()) }
    await started.wait()
    task.cancel()
    await #expect { try await task.value } throws: { ($0 as? ProtocolError)?.message == "given up" }
  }

  @Test func refusesCallsOverTheLimit() async throws {
    let gate = Gate()
    let started = Gate()
    let pair = LocalConnection(
      host: Self.silent(),
      plugin: Connection.Handlers(request: { _, _ in
        started.open()
        await gate.wait()
        return .success(EmptyMessage())
      }),
      inFlightLimit: 1
    )
    async let first = pair.host.call(method: "a", params: EmptyMessage())
    await started.wait()
    await #expect { try await pair.host.call(method: "b", params: EmptyMessage()) } throws: {
      ($0 as? ProtocolError)?.kind == .overloaded
    }
    gate.open()
    _ = try await first
    await pair.plugin.waitUntilRunning(atMost: 0)
  }

  @Test func aPlaceIsFreeWhenItsAnswerLeaves() async throws {
    let sink = EagerSink()
    let connection = Connection(
      sink: sink,
      inFlightLimit: 1,
      handlers: Connection.Handlers(request: { _, _ in .success(EmptyMessage()) })
    )
    let next = try RawJSON(text: #"{"jsonrpc":"2.0","id":2,"method":"a","params":{}}"#)
    sink.onFirst { connection.receive(.frame(next)) }
    connection.receive(.frame(try RawJSON(text: #"{"jsonrpc":"2.0","id":1,"method":"a","params":{}}"#)))
    await connection.waitUntilRunning(atMost: 0)
    #expect(sink.frames.count == 2)
    #expect(!sink.frames.contains { $0.contains("error") })
  }

  @Test func reportsAnUnsolicitedAnswer() throws {
    let seen = Mutex<[ProtocolError]>([])
    let connection = Connection(
      sink: NullSink(),
      handlers: Connection.Handlers(
        request: { _, _ in .success(EmptyMessage()) },
        violation: { error in seen.withLock { $0.append(error) } }
      )
    )
    connection.receive(.frame(try RawJSON(text: #"{"jsonrpc":"2.0","id":9,"result":1}"#)))
    connection.receive(.stray(prefix: []))
    #expect(seen.withLock { $0.map(\.kind) } == [.protocolViolation, .protocolViolation])
  }

  @Test func aBrokenAnswerFailsItsCallOnly() async throws {
    let sink = RecordingSink()
    let connection = Connection(sink: sink, handlers: Self.silent())
    let call = Task { try await connection.call(method: "a", params: EmptyMessage()) }
    await sink.sent.wait()
    connection.receive(.frame(try RawJSON(text: #"{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}"#)))
    await #expect { try await call.value } throws: { ($0 as? ProtocolError)?.kind == .protocolViolation }
  }

  @Test func aFullSinkFailsTheCallInsteadOfHanging() async {
    let connection = Connection(sink: FullSink(), handlers: Self.silent())
    await #expect { try await connection.call(method: "a", params: EmptyMessage()) } throws: {
      ($0 as? ProtocolError)?.kind == .overloaded
    }
  }
}

/// Opens once; who waits before or after goes through.
final class Gate: Sendable {
  private let state = Mutex<(isOpen: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

  func open() {
    let waiters = state.withLock { state in
      let waiters = state.waiters
      state = (true, [])
      return waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func wait() async {
    await withCheckedContinuation { waiter in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiters.append(waiter) }
        return state.isOpen
      }
      if isOpen { waiter.resume() }
    }
  }
}

struct NullSink: FrameSink {
  func send(_ frame: [UInt8]) throws(FrameSinkError) {}
}

struct FullSink: FrameSink {
  func send(_ frame: [UInt8]) throws(FrameSinkError) { throw .full }
}

/// The other side reads an answer and asks again before the sender has done anything else.
final class EagerSink: FrameSink {
  private let state = Mutex<(frames: [String], reaction: (@Sendable () -> Void)?)>(([], nil))

  var frames: [String] { state.withLock(\.frames) }

  func onFirst(_ reaction: @escaping @Sendable () -> Void) {
    state.withLock { $0.reaction = reaction }
  }

  func send(_ frame: [UInt8]) throws(FrameSinkError) {
    let reaction = state.withLock { state in
      state.frames.append(String(decoding: frame, as: UTF8.self))
      defer { state.reaction = nil }
      return state.reaction
    }
    reaction?()
  }
}

struct RecordingSink: FrameSink {
  let sent = Gate()
  func send(_ frame: [UInt8]) throws(FrameSinkError) { sent.open() }
}
