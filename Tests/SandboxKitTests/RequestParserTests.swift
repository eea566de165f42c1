import Testing

@testable import SandboxKit

@Suite struct RequestParserTests {
  private func steps(_ text: String, chunk: Int = .max) -> [HTTPRequest] {
    var parser = RequestParser()
    var requests: [HTTPRequest] = []
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + min(chunk, bytes.count))
      parser.append(bytes[start..<end])
      start = end
      while case .request(let request) = parser.next() { requests.append(request) }
    }
    return requests
  }

  @Test(arguments: [1, 2, 7, 1000])
  func readsPipelinedRequestsInAnyPieces(chunk: Int) {
    let text =
      "POST /a?x=1&y=%20z+ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      + "GET /b HTTP/1.1\r\nA:  b \r\n\r\n"
      + "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
      + "GET /d HTTP/1.1\r\nconnection: close\r\n\r\n"
    let requests = steps(text, chunk: chunk)
    #expect(requests.map(\.path) == ["/a", "/b", "/c", "/d"])
    guard requests.count == 4 else { return }
    #expect(requests[0].body == Array("hello".utf8))
    #expect(requests[0].queryItems() == [.init(name: "x", value: "1"), .init(name: "y", value: " z ")])
    #expect(requests[1].header("a") == "b")
    #expect(requests[2].body == Array("abc0123456789".utf8))
    #expect(requests.map(\.closes) == [false, false, false, true])
  }

  @Test(arguments: [
    ("GET /\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505), ("GET x HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nbad header\r\n\r\n", 400), ("GET / HTTP/1.1\r\na b: c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n", 400), ("POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\ncontent-length: 40000000\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n", 400),
    ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n7FFFFFFFFFFFFFF\r\n", 413),
    ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
  ])
  func refuses(text: String, status: Int) {
    var parser = RequestParser()
    parser.append(Array(text.utf8)[...])
    guard case .refused(let came, _) = parser.next() else {
      Issue.record("not refused: \(text)")
      return
    }
    #expect(came == status)
  }

  @Test func boundsTheHead() {
    var parser = RequestParser()
    parser.append(Array(("GET / HTTP/1.1\r\na: " + String(repeating: "x", count: 40_000)).utf8)[...])
    guard case .refused(431, _) = parser.next() else {
      Issue.record("a head without end was not refused")
      return
    }
  }

  @Test func asksForTheBodyOnce() {
    var parser = RequestParser()
    parser.append(Array("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n".utf8)[...])
    guard case .wantsContinue = parser.next(), case .needsMore = parser.next() else {
      Issue.record("no 100-continue")
      return
    }
    parser.append(Array("ok".utf8)[...])
    guard case .request(let request) = parser.next() else {
      Issue.record("no request")
      return
    }
    #expect(request.body == Array("ok".utf8))
  }

  @Test func readsMultipart() {
    let body =
      "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n"
      + "content-disposition: form-data; name=m; filename=\"x.png\"\r\ncontent-type: image/png\r\n\r\n\r\n--\r\n--b--\r\n"
    func parts(_ text: String) -> [Multipart.Part]? {
      Multipart.parts(
        of: HTTPRequest(
          method: "POST",
          path: "/",
          headers: [.init(name: "content-type", value: "multipart/form-data; boundary=\"b\"")],
          body: Array(text.utf8)
        )
      )
    }
    #expect(parts(body)?.map(\.name) == ["a", "m"])
    #expect(parts(body)?.map { String(decoding: $0.bytes, as: UTF8.self) } == ["1", "\r\n--"])
    #expect(parts("") == nil)
    #expect(parts("--b\r\nx\r\n") == nil)
    #expect(parts(String(body.dropLast(6))) == nil)
  }

  @Test func tellsTimesBothWays() {
    #expect(CivilTime(milliseconds: 0).iso == "1970-01-01T00:00:00.000Z")
    #expect(CivilTime(milliseconds: 951_782_399_999).iso == "2000-02-28T23:59:59.999Z")
    #expect(CivilTime(milliseconds: -1).iso == "1969-12-31T23:59:59.999Z")
    #expect(HTTPDate.format(milliseconds: 784_111_777_000) == "Sun, 06 Nov 1994 08:49:37 GMT")
    for milliseconds in stride(from: Int64(0), to: 4_000_000_000_000, by: 86_399_123_457) {
      #expect(CivilTime.milliseconds(iso: CivilTime(milliseconds: milliseconds).iso) == milliseconds)
    }
    #expect(CivilTime.milliseconds(iso: "2026-01-02T03:04:05Z") == 1_767_323_045_000)
    for text in ["2026-02-30T00:00:00Z", "2026-1-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T24:00:00Z", "x"] {
      #expect(CivilTime.milliseconds(iso: text) == nil)
    }
  }
}
