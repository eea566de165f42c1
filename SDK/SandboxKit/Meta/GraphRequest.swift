/// A request to one of Meta's graph interfaces: its fields may stand in the query or in a form.
struct GraphRequest {
  let method: String
  /// Without the version.
  let parts: [String]
  let values: [String: String]
  /// What stood before the path, such as `v26.0`; `nil` for none.
  let version: String?
  private let bearer: String?

  init(_ request: HTTPRequest) throws(GraphProblem) {
    guard let items = request.queryItems() else { throw .invalid("The query cannot be read") }
    var fields = items
    if !request.body.isEmpty {
      guard let form = request.formItems() else { throw .invalid("The body must be a form") }
      fields += form
    }
    do throws(OAuthRefusal) {
      values = try OAuthServer.values(fields)
    } catch {
      throw .invalid("A parameter appears twice")
    }
    method = request.method
    bearer = request.bearer
    (version, parts) = Self.path(of: request)
  }

  /// The path without its version.
  static func path(of request: HTTPRequest) -> (version: String?, parts: [String]) {
    let parts = request.pathParts
    guard let first = parts.first, isVersion(first) else { return (nil, parts) }
    return (first, Array(parts.dropFirst()))
  }

  private static func isVersion(_ text: String) -> Bool {
    let halves = text.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
    return text.hasPrefix("v") && halves.count == 2
      && halves.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
  }

  var path: String { "/" + parts.joined(separator: "/") }

  var token: String? { values["access_token"] ?? bearer }

  /// The fields that are asked for, without what stands in their braces.
  func fields(default standard: [String], known: Set<String>, of node: String) throws(GraphProblem) -> [String] {
    guard let text = values["fields"] else { return standard }
    var names: [String] = []
    var name = ""
    var depth = 0
    for character in text + "," {
      switch character {
      case "{", "(": depth += 1
      case "}", ")": depth -= 1
      case "," where depth == 0:
        let plain = String(name.prefix { $0 != "." }).trimmingSpaces()
        guard known.contains(plain) else {
          throw .invalid("Tried accessing nonexisting field (\(plain)) on node type (\(node))")
        }
        if !names.contains(plain) { names.append(plain) }
        name = ""
      default: if depth == 0 { name.append(character) }
      }
    }
    guard depth == 0 else { throw .invalid("The fields parameter cannot be read") }
    return names.contains("id") ? names : names + ["id"]
  }
}
