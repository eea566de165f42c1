import HTTPServer
import Testing

@Suite struct RouterTests {
  private static func client(_ register: (inout Router) -> Void) -> TestClient {
    var router = Router()
    register(&router)
    return TestClient(router)
  }

  @Test func wordsWinOverNamesAndNamesOverTheRest() async {
    let client = Self.client { router in
      router.get("/") { _ in .text("root") }
      router.get("/posts/{id}") { .text("post \(try $0.parameters.int64("id"))") }
      router.get("/posts/latest") { _ in .text("latest") }
      router.get("/posts/{post}/media/{medium}") {
        .text("\(try $0.parameters.string("post"))/\(try $0.parameters.string("medium"))")
      }
      router.get("/posts/latest/media/first") { _ in .text("first") }
      router.get("/{path...}") { .text("rest \($0.parameters["path"] ?? "")") }
    }
    let expected = [
      "/": "root", "/posts/12": "post 12", "/posts/latest": "latest", "/posts/1/media/2": "1/2",
      "/posts/latest/media/first": "first", "/posts/latest/media/2": "latest/2", "/css/a.css": "rest css/a.css",
      "/posts/1/nothing": "rest posts/1/nothing", "/x/": "rest x/",
    ]
    for (path, text) in expected { #expect(await client.get(path).text == text, "\(path)") }
  }

  @Test(arguments: ["abc", "0", "-1", "9223372036854775808", "1.5", "%20", "%D9%A1"]) func idsAreWholeNumbers(
    id: String
  ) async {
    let client = Self.client { router in
      router.get("/posts/{id}") { .text("\(try $0.parameters.int64("id"))") }
    }
    #expect(await client.get("/posts/\(id)").status == 404)
    #expect(await client.get("/posts/9223372036854775807").text == "9223372036854775807")
  }

  @Test func middlewareStandsAroundTheRoutesAfterIt() async {
    let client = Self.client { router in
      router.get("/open") { _ in .text("open") }
      router.group(
        "/api",
        [
          { request, next in
            guard request.headers["authorization"] == "yes" else {
              throw HTTPProblem(status: 401, code: "unauthorized", message: "Sign in first")
            }
            var response = try await next(request)
            response.headers.set("x-layer", (response.headers["x-layer"] ?? "") + "outer")
            return response
          }
        ]
      ) { router in
        router.use { request, next in
          var response = try await next(request)
          response.headers.set("x-layer", "inner ")
          return response
        }
        router.get("/closed") { _ in .text("closed") }
      }
      router.get("/after") { _ in .text("after") }
    }
    #expect(await client.get("/open").text == "open")
    #expect(await client.get("/after").text == "after")
    #expect(await client.get("/api/closed").status == 401)
    let answer = await client.get("/api/closed", headers: ["authorization": "yes"])
    #expect(answer.text == "closed")
    #expect(answer.headers["x-layer"] == "inner outer")
  }

  @Test func listsItsRoutes() {
    var router = Router()
    router.group("/api") { router in
      router.get("/a") { _ in .empty() }
      router.post("/a") { _ in .empty() }
    }
    #expect(router.routes.map { "\($0.method) \($0.template)" } == ["GET /api/a", "POST /api/a"])
  }

  @Test func theTestClientHoldsToLimits() async {
    let client = Self.client { router in
      router.post("/x", body: .collected(limit: 3)) { .text("\($0.body.bytes.count)") }
    }
    #expect(await client.post("/x", json: "123").text == "3")
    #expect(await client.post("/x", json: "1234").status == 413)
    #expect(await client.send(.put, "/x").status == 405)
    #expect(await client.send(.head, "/x").body.isEmpty)
  }

  @Test func readsCookies() {
    let headers: HTTPHeaders = ["Cookie": "a=1; session=\"x=y\"; b"]
    #expect(headers.cookie("session") == "x=y")
    #expect(headers.cookie("a") == "1")
    #expect(headers.cookie("b") == nil)
    #expect(headers["COOKIE"] != nil)
  }

  @Test(arguments: ["a b/c?d&é", "", "~-._", "\u{1F600}"]) func percentCodingIsReversible(text: String) {
    #expect(PercentCoding.decode(PercentCoding.encode(text)[...]) == text)
  }
}
