import JSONText
import PluginProtocol
import PluginTransport
import Testing

@Suite struct EnvelopeTests {
  private func envelope(_ text: String) throws -> Envelope { try Envelope(try RawJSON(text: text)) }

  @Test func readsTheFourKinds() throws {
    #expect(
      try envelope(#"{"jsonrpc":"2.0","id":7,"method":"post/publish","params":{"a":[1]},"more":1}"#)
        == .request(id: 7, method: "post/publish", params: try RawJSON(text: #"{"a":[1]}"#))
    )
    #expect(
      try envelope(#"{"jsonrpc":"2.0","method":"initialized"}"#)
        == .notification(method: "initialized", params: .emptyObject)
    )
    #expect(try envelope(#"{"jsonrpc":"2.0","id":1,"result":null}"#) == .response(id: 1, result: .null))
    let failure = try envelope(
      #"{"jsonrpc":"2.0","id":1,"error":{"code":1010,"message":"slow","data":{"retryAfterMs":5}}}"#
    )
    #expect(failure == .failure(id: 1, error: ProtocolError(.rateLimited, "slow", retryAfterMs: 5)))
  }

  @Test(arguments: [
    #"{"id":1,"method":"a"}"#, #"{"jsonrpc":"1.0","id":1,"method":"a"}"#, #"{"jsonrpc":"2.0","id":0,"method":"a"}"#,
    #"{"jsonrpc":"2.0","id":-1,"method":"a"}"#, #"{"jsonrpc":"2.0","id":9007199254740992,"method":"a"}"#,
    #"{"jsonrpc":"2.0","id":99999999999999999999999,"method":"a"}"#, #"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#,
    #"{"jsonrpc":"2.0","id":"1","method":"a"}"#, #"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
    #"{"jsonrpc":"2.0","id":1,"method":2}"#, #"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
    #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","result":1}"#,
    #"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#, #"{"jsonrpc":"2.0","id":1,"error":{}}"#,
    "[]", "1",
  ])
  func refuses(_ text: String) {
    #expect(throws: EnvelopeError.self) { try envelope(text) }
  }

  @Test func saysWhomAFaultConcerns() {
    #expect { try envelope(#"{"jsonrpc":"2.0","id":5,"error":{}}"#) } throws: {
      ($0 as? EnvelopeError).map { $0.id == 5 && $0.isResponse } ?? false
    }
    #expect { try envelope(#"{"jsonrpc":"2.0","id":5,"method":"a","params":3}"#) } throws: {
      ($0 as? EnvelopeError).map { $0.id == 5 && !$0.isResponse } ?? false
    }
  }

  @Test func writesWhatItReads() throws {
    let frame = Frame.request(id: 3, method: "a/b", params: EmptyMessage())
    #expect(frame.last == 0x0A)
    #expect(try Envelope(RawJSON(frame)) == .request(id: 3, method: "a/b", params: .emptyObject))
    let error = ProtocolError(
      .authExpired,
      "gone",
      field: "x",
      userMessage: "sign in",
      upstream: UpstreamDetail(status: 401, code: "c", requestID: "r"),
      steps: ["s"]
    )
    #expect(try Envelope(RawJSON(Frame.failure(id: 4, error: error))) == .failure(id: 4, error: error))
    #expect(try Envelope(RawJSON(Frame.failure(id: nil, error: error))) == .failure(id: nil, error: error))
  }
}
