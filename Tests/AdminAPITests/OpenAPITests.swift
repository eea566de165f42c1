import HTTPServer
import JSONDocument
import TestSupport
import Testing

@testable import AdminAPI

/// The description is made of the same values as the checks; its structure must hold.
@Suite(.database) struct OpenAPITests {
  private func withDocument(_ body: (JSONValue, APIFixture) async throws -> Void) async throws {
    try await APIFixture.run { api in
      let answer = await api.get("/openapi.json", as: nil)
      #expect(answer.status == 200)
      try await body(try JSONValue.parse(answer.body), api)
    }
  }

  private func operations(_ document: JSONValue) throws -> [(path: String, method: String, operation: JSONValue)] {
    let paths = try #require(document.pointer("/paths")?.objectValue)
    return paths.flatMap { path, methods in
      (methods.objectValue ?? [:]).map { (path, $0.key, $0.value) }
    }
  }

  @Test func listsEveryRoute() async throws {
    try await withDocument { document, api in
      let described = Set(try operations(document).map { "\($0.method) \($0.path)" })
      let routes = Set(
        api.api.router().routes.filter { $0.template != "/openapi.json" }
          .map { "\($0.method.rawValue.lowercased()) \($0.template)" }
      )
      #expect(described == routes)
      #expect(routes.count > 30)
    }
  }

  @Test func everyOperationIsWhole() async throws {
    try await withDocument { document, _ in
      #expect(document.pointer("/openapi")?.stringValue == "3.1.0")
      var identifiers: Set<String> = []
      for (path, method, operation) in try operations(document) {
        let place = "\(method) \(path)"
        let id = try #require(operation.pointer("/operationId")?.stringValue)
        #expect(identifiers.insert(id).inserted, "\(place): \(id) twice")
        #expect(operation.pointer("/summary")?.stringValue?.isEmpty == false, "\(place)")
        let responses = try #require(operation.pointer("/responses")?.objectValue)
        #expect(responses.keys.contains { $0.hasPrefix("2") || $0 == "303" }, "\(place)")
        #expect(responses.keys.allSatisfy { (100...599).contains(Int($0) ?? 0) }, "\(place)")
        let named = path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
        let parameters = (operation.pointer("/parameters")?.arrayValue ?? [])
        let inPath = parameters.filter { $0.pointer("/in")?.stringValue == "path" }
        #expect(Set(inPath.compactMap { $0.pointer("/name")?.stringValue }) == Set(named), "\(place)")
        #expect(inPath.allSatisfy { $0.pointer("/required")?.boolValue == true }, "\(place)")
        let names = parameters.compactMap { $0.pointer("/name")?.stringValue }
        #expect(Set(names).count == names.count, "\(place)")
        if ["get", "delete"].contains(method) { #expect(operation.pointer("/requestBody") == nil, "\(place)") }
      }
    }
  }

  @Test func everyReferenceLeadsSomewhere() async throws {
    try await withDocument { document, _ in
      func check(_ value: JSONValue) {
        if let members = value.objectValue {
          if let reference = members["$ref"]?.stringValue {
            #expect(document.pointer(String(reference.dropFirst())) != nil, "\(reference)")
          }
          for (name, member) in members {
            if name == "required", let list = member.arrayValue {
              for field in list.compactMap(\.stringValue) {
                #expect(members["properties"]?.objectValue?[field] != nil, "\(field) is required but unknown")
              }
            }
            check(member)
          }
        }
        for item in value.arrayValue ?? [] { check(item) }
      }
      check(document)
    }
  }

  @Test func whatNeedsATokenSaysSo() async throws {
    try await withDocument { document, _ in
      for (path, method, operation) in try operations(document) {
        let isOpen = operation.pointer("/security")?.arrayValue?.isEmpty == true
        // Whoever signs in has nothing to show yet.
        let isWayIn = method == "post" && ["/api/session", "/api/session/link"].contains(path)
        // Browsers that come from a platform or a program bring what the sign-in gave them.
        let isSignIn =
          method == "get" && (path.hasSuffix("/{platform}/begin") || path.hasSuffix("/{platform}/callback"))
        #expect(isOpen == (path.hasPrefix("/health") || isWayIn || isSignIn), "\(method) \(path)")
        let responses = operation.pointer("/responses")?.objectValue ?? [:]
        #expect((responses["401"] != nil) == (!isOpen || path == "/api/session"), "\(method) \(path)")
      }
    }
  }
}
