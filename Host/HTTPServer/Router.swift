/// Answers one request.
package typealias HTTPHandler = @Sendable (HTTPRequest) async throws -> HTTPResponse

/// Stands around handlers: it may refuse, change the request, or change the answer of `next`.
package typealias HTTPMiddleware = @Sendable (HTTPRequest, _ next: HTTPHandler) async throws -> HTTPResponse

/// How a route takes the body of its requests.
package enum BodyPolicy: Sendable, Equatable {
  /// The handler starts when the whole body is in memory.
  case collected(limit: Int = 1 << 20)
  /// The handler starts at once and reads `request.body.chunks()`.
  case streamed(limit: Int)

  package var limit: Int {
    switch self {
    case .collected(let limit), .streamed(let limit): limit
    }
  }
}

/// The routes of a server.
///
/// A template is a path whose segments are words or `{name}`; the last one may be `{name...}`, which takes the rest of
/// the path. Words win over names. A route of GET also answers HEAD.
package struct Router: Sendable {
  struct Route: Sendable {
    let template: String
    let names: [String]
    let body: BodyPolicy
    let handler: HTTPHandler
  }

  enum Resolution: Sendable {
    case found(Route, PathParameters)
    case wrongMethod([HTTPMethod])
    case notFound
  }

  private final class Node: Sendable {
    let words: [String: Node]
    let name: Node?
    let rest: [HTTPMethod: Route]
    let routes: [HTTPMethod: Route]

    init(words: [String: Node], name: Node?, rest: [HTTPMethod: Route], routes: [HTTPMethod: Route]) {
      self.words = words
      self.name = name
      self.rest = rest
      self.routes = routes
    }

    static let empty = Node(words: [:], name: nil, rest: [:], routes: [:])
  }

  private enum Segment {
    case word(String), name(String), rest(String)
  }

  private var root = Node.empty
  private var middleware: [HTTPMiddleware] = []
  private var prefix = ""

  /// Method and template of every route, in the order of registration.
  package private(set) var routes: [(method: HTTPMethod, template: String)] = []

  package init() {}

  /// Puts a middleware around the routes registered after this call; the first one is the outermost.
  package mutating func use(_ middleware: @escaping HTTPMiddleware) { self.middleware.append(middleware) }

  /// Registers routes under a common prefix and with middleware of their own.
  package mutating func group(
    _ prefix: String,
    _ middleware: [HTTPMiddleware] = [],
    _ register: (inout Router) -> Void
  ) {
    let outer = (self.prefix, self.middleware)
    self.prefix += prefix
    self.middleware += middleware
    register(&self)
    (self.prefix, self.middleware) = outer
  }

  /// Registers a route. A malformed template or a route that exists already is a mistake of the program and stops it.
  package mutating func on(
    _ method: HTTPMethod,
    _ template: String,
    body: BodyPolicy = .collected(),
    _ handler: @escaping HTTPHandler
  ) {
    let template = prefix + template
    let segments = Self.parse(template)
    let names = segments.compactMap { segment -> String? in
      switch segment {
      case .word: nil
      case .name(let name), .rest(let name): name
      }
    }
    precondition(Set(names).count == names.count, "The template \(template) has the same name twice")
    var wrapped = handler
    for layer in middleware.reversed() {
      let inner = wrapped
      wrapped = { request in try await layer(request, inner) }
    }
    let route = Route(template: template, names: names, body: body, handler: wrapped)
    root = Self.inserting(route, method, segments[...], into: root)
    routes.append((method, template))
  }

  package mutating func get(_ template: String, _ handler: @escaping HTTPHandler) { on(.get, template, handler) }

  package mutating func post(
    _ template: String,
    body: BodyPolicy = .collected(),
    _ handler: @escaping HTTPHandler
  ) { on(.post, template, body: body, handler) }

  package mutating func put(
    _ template: String,
    body: BodyPolicy = .collected(),
    _ handler: @escaping HTTPHandler
  ) { on(.put, template, body: body, handler) }

  package mutating func patch(
    _ template: String,
    body: BodyPolicy = .collected(),
    _ handler: @escaping HTTPHandler
  ) { on(.patch, template, body: body, handler) }

  package mutating func delete(_ template: String, _ handler: @escaping HTTPHandler) { on(.delete, template, handler) }

  /// Finds the route of a request.
  func resolve(_ method: HTTPMethod, _ segments: [String]) -> Resolution {
    var allowed: Set<HTTPMethod> = []
    var values: [String] = []
    if let route = Self.find(method, segments[...], root, &values, &allowed) {
      return .found(route, PathParameters(names: route.names, values: values))
    }
    guard !allowed.isEmpty else { return .notFound }
    if allowed.contains(.get) { allowed.insert(.head) }
    allowed.insert(.options)
    return .wrongMethod(allowed.sorted { $0.rawValue < $1.rawValue })
  }

  private static func find(
    _ method: HTTPMethod,
    _ segments: ArraySlice<String>,
    _ node: Node,
    _ values: inout [String],
    _ allowed: inout Set<HTTPMethod>
  ) -> Route? {
    guard let first = segments.first else {
      allowed.formUnion(node.routes.keys)
      return route(method, node.routes)
    }
    let others = segments.dropFirst()
    if let next = node.words[first], let found = find(method, others, next, &values, &allowed) { return found }
    if let next = node.name, !first.isEmpty {
      values.append(first)
      if let found = find(method, others, next, &values, &allowed) { return found }
      values.removeLast()
    }
    guard !node.rest.isEmpty else { return nil }
    allowed.formUnion(node.rest.keys)
    guard let found = route(method, node.rest) else { return nil }
    values.append(segments.joined(separator: "/"))
    return found
  }

  private static func route(_ method: HTTPMethod, _ routes: [HTTPMethod: Route]) -> Route? {
    routes[method] ?? (method == .head ? routes[.get] : nil)
  }

  private static func inserting(
    _ route: Route,
    _ method: HTTPMethod,
    _ segments: ArraySlice<Segment>,
    into node: Node
  ) -> Node {
    var (words, name, rest, routes) = (node.words, node.name, node.rest, node.routes)
    switch segments.first {
    case nil:
      precondition(routes.updateValue(route, forKey: method) == nil, "\(method) \(route.template) is registered twice")
    case .word(let word):
      words[word] = inserting(route, method, segments.dropFirst(), into: words[word] ?? .empty)
    case .name: name = inserting(route, method, segments.dropFirst(), into: name ?? .empty)
    case .rest:
      precondition(segments.count == 1, "The template \(route.template) goes on after the rest of the path")
      precondition(rest.updateValue(route, forKey: method) == nil, "\(method) \(route.template) is registered twice")
    }
    return Node(words: words, name: name, rest: rest, routes: routes)
  }

  private static func parse(_ template: String) -> [Segment] {
    precondition(template.hasPrefix("/"), "The template \(template) does not begin with a slash")
    guard template != "/" else { return [] }
    return template.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { part in
      guard part.hasPrefix("{") else {
        precondition(!part.isEmpty && !part.contains("}"), "The template \(template) is malformed")
        return .word(String(part))
      }
      precondition(part.hasSuffix("}") && part.count > 2, "The template \(template) is malformed")
      let name = part.dropFirst().dropLast()
      return name.hasSuffix("...") ? .rest(String(name.dropLast(3))) : .name(String(name))
    }
  }
}
