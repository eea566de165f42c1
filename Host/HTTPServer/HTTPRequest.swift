/// One request, as a handler sees it.
package struct HTTPRequest: Sendable {
  /// A name for this request in logs, answers and errors.
  package var id: String
  /// The method as it came; a HEAD request reaches the handler of GET.
  package var method: HTTPMethod
  package var target: RequestTarget
  package var headers: HTTPHeaders
  package var body: RequestBody
  /// The client's address without the port; behind a trusted proxy, what the proxy says it is.
  package var remoteAddress: String
  /// The values of the template's `{names}`.
  package var parameters: PathParameters
  /// The template of the route, such as `/api/posts/{id}`; empty for the fallback.
  package var route: String

  package init(
    id: String,
    method: HTTPMethod,
    target: RequestTarget,
    headers: HTTPHeaders = [:],
    body: RequestBody = RequestBody([]),
    remoteAddress: String = "",
    parameters: PathParameters = PathParameters(),
    route: String = ""
  ) {
    self.id = id
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
    self.remoteAddress = remoteAddress
    self.parameters = parameters
    self.route = route
  }

  /// The path as it came, without the query.
  package var path: String { target.path }

  /// Parses the query; refused with a 400 when it is malformed.
  package func query() throws(HTTPProblem) -> QueryParameters { try QueryParameters(target.query) }
}

/// The values a path gave for the `{names}` of its template.
package struct PathParameters: Sendable, Equatable {
  private let names: [String]
  private let values: [String]

  package init(names: [String] = [], values: [String] = []) {
    self.names = names
    self.values = values
  }

  /// The decoded value; nil when the template has no such name.
  package subscript(_ name: String) -> String? {
    guard let index = names.firstIndex(of: name), index < values.count else { return nil }
    return values[index]
  }

  /// The value as it is; 404 when it is empty or the template has no such name.
  package func string(_ name: String) throws(HTTPProblem) -> String {
    guard let value = self[name], !value.isEmpty else { throw .notFound() }
    return value
  }

  /// The value as an integer from 1 up; 404 when it is not one, for nothing can be there.
  package func int64(_ name: String) throws(HTTPProblem) -> Int64 {
    let text = try string(name)
    guard text.utf8.count <= 19, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(text),
      value > 0
    else {
      throw .notFound("There is nothing at this address: its '\(name)' must be a whole number")
    }
    return value
  }
}
