import HTTPServer
import JSONDocument
import WebhookEndpoints

/// Describes the operations in OpenAPI 3.1.
enum OpenAPI {
  static func document(_ endpoints: [Endpoint], version: String) -> JSONValue {
    var paths: [String: [String: JSONValue]] = [:]
    for endpoint in endpoints {
      paths[endpoint.path, default: [:]][endpoint.method.rawValue.lowercased()] = operation(endpoint)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Rostrum",
        "version": .string(version),
        "description": "Write a post once; Rostrum publishes it to many accounts and says what happened.",
        "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "servers": [["url": "/"]],
      "security": [["token": []], ["session": []]],
      "paths": .object(paths.mapValues { .object($0) }),
      "webhooks": webhooks,
      "components": [
        "securitySchemes": [
          "token": ["type": "http", "scheme": "bearer", "bearerFormat": "rst_…"],
          "session": ["type": "apiKey", "in": "cookie", "name": "__Host-rostrum"],
        ],
        "schemas": .object(schemas.mapValues(\.openAPI)),
      ],
    ]
  }

  private static let schemas: [String: Schema] = [
    "Error": .object([
      .required("success", .boolean),
      .required(
        "error",
        .object([
          .required("code", .string(1...100), "A word for programs"),
          .required("message", .string(1...4000), "A sentence for people"),
          .optional("field", .string(0...500), "The field that is wrong"),
          .optional("details", .any),
        ])
      ),
    ])
  ]

  /// What endpoints of sites receive: one entry a kind of event.
  private static var webhooks: JSONValue {
    let headers: [(String, String)] = [
      ("webhook-id", "The id of the event, the same on every try and replay"),
      ("webhook-timestamp", "Seconds since 1970 of this try"),
      ("webhook-signature", "One or two signatures, v1 and Base64 of HMAC-SHA256, as Standard Webhooks says"),
    ]
    let parameters = headers.map { name, about -> JSONValue in
      [
        "name": .string(name), "in": "header", "required": true, "description": .string(about),
        "schema": ["type": "string"],
      ]
    }
    var members: [String: JSONValue] = [:]
    for kind in EventCatalogue.kinds {
      let words = kind.name.split(separator: ".").map { $0.prefix(1).uppercased() + $0.dropFirst() }
      members[kind.name] = [
        "post": [
          "summary": .string(kind.about), "operationId": .string("webhook" + words.joined()), "tags": ["webhooks"],
          "parameters": .array(parameters),
          "requestBody": [
            "required": true, "content": ["application/json": ["schema": event(kind).openAPI]],
          ],
          "responses": [
            "2XX": ["description": "The event was taken"],
            "410": ["description": "No event is wanted any more; the webhook is switched off"],
            "default": ["description": "The event is sent again for a day, also after 429 and 503 with Retry-After"],
          ],
        ]
      ]
    }
    return .object(members)
  }

  private static func event(_ kind: EventCatalogue.Kind) -> Schema {
    .object([
      .required("id", .string(1...100), "The same as webhook-id"), .required("type", .choice([kind.name])),
      .required("version", .integer(WebhookBody.version...WebhookBody.version)), .required("timestamp", .instant),
      .required("siteId", .nullable(.id), "Null for what belongs to no site"),
      .required("data", .any, "At least " + kind.members.joined(separator: ", ") + "; new members may come"),
    ])
  }

  private static let reasons: [Int: String] = [
    400: "A value is wrong; nothing was changed",
    401: "The token or the session is missing or not valid",
    403: "The role does not allow it",
    404: "There is no such thing that the token reaches",
    408: "The request came too slowly",
    409: "The thing is in a state that does not allow it",
    413: "The body is too large",
    415: "The body has another media type",
    422: "The values are well-formed but can not be used",
    429: "Too many requests; see Retry-After",
    431: "The headers are too large",
    503: "Something that is needed is not available right now",
  ]

  private static func operation(_ endpoint: Endpoint) -> JSONValue {
    var members: [String: JSONValue] = [
      "summary": .string(endpoint.summary),
      "operationId": .string(identifier(endpoint)),
      "responses": responses(endpoint),
      "tags": [.string(tag(endpoint))],
    ]
    if case .open = endpoint.access { members["security"] = [] }
    if case .person = endpoint.access { members["security"] = [["session": []]] }
    let parameters = parameters(endpoint)
    if !parameters.isEmpty { members["parameters"] = .array(parameters) }
    if endpoint.isUpload {
      members["requestBody"] = [
        "required": true,
        "content": ["application/octet-stream": ["schema": ["type": "string", "format": "binary"]]],
      ]
    } else if let body = endpoint.body {
      members["requestBody"] = [
        "required": .bool(!body.allowsNothing),
        "content": ["application/json": ["schema": body.openAPI]],
      ]
    }
    return .object(members)
  }

  private static func parameters(_ endpoint: Endpoint) -> [JSONValue] {
    var parameters: [JSONValue] = endpoint.parameters.map { name in
      let schema = ["platform", "plugin"].contains(name) ? Schema.string(1...40) : Schema.id
      return ["name": .string(name), "in": "path", "required": true, "schema": schema.openAPI]
    }
    for field in endpoint.query {
      var parameter: [String: JSONValue] = [
        "name": .string(field.name), "in": "query", "required": .bool(field.isRequired), "schema": field.schema.openAPI,
      ]
      if let about = field.about { parameter["description"] = .string(about) }
      parameters.append(.object(parameter))
    }
    if endpoint.isCreate {
      parameters.append([
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "The same key with the same request gets the same answer and makes nothing new",
        "schema": ["type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"],
      ])
    }
    return parameters
  }

  private static func responses(_ endpoint: Endpoint) -> JSONValue {
    var responses: [String: JSONValue] = [:]
    switch endpoint.success {
    case .json(let status, let schema):
      let envelope = Schema.object([.required("success", .boolean), .required("data", schema)])
      responses["\(status)"] = answer("Done", envelope)
    case .page(let schema):
      let envelope = Schema.object([
        .required("success", .boolean),
        .required("data", .array(schema, 0...100)),
        .required("nextCursor", .nullable(.id), "Send it as `cursor` for the next page; null at the end"),
      ])
      responses["200"] = answer("A page", envelope)
    case .other(let type):
      responses["200"] = ["description": "Done", "content": .object([type: [:]])]
    case .redirect:
      responses["303"] = [
        "description": "The browser goes on", "headers": ["location": ["schema": ["type": "string"]]],
      ]
    }
    var refusals = endpoint.refusals + [400, 408, 431, 503]
    if case .open = endpoint.access {} else { refusals += [401, 429] }
    switch endpoint.access {
    case .open, .signedIn: break
    case .operatorOnly, .person: refusals.append(403)
    case .site, .siteInPath, .siteOrHost: refusals += [403, 404]
    }
    // A session's cookie from a foreign page.
    if endpoint.method != .get { refusals.append(403) }
    if !endpoint.parameters.isEmpty { refusals.append(404) }
    if endpoint.body != nil || endpoint.isUpload { refusals += [413, 415] }
    if endpoint.isCreate { refusals.append(409) }
    for status in Set(refusals) {
      responses["\(status)"] = answer(reasons[status] ?? "Refused", .named("Error"))
    }
    if case .redirect = endpoint.success {
      responses["400"] = [
        "description": "Nothing to go on to; a page for people, or what is wrong with the address",
        "content": ["text/html": [:], "application/json": ["schema": Schema.named("Error").openAPI]],
      ]
    }
    return .object(responses)
  }

  private static func answer(_ description: String, _ schema: Schema) -> JSONValue {
    ["description": .string(description), "content": ["application/json": ["schema": schema.openAPI]]]
  }

  private static func identifier(_ endpoint: Endpoint) -> String {
    let words = endpoint.path.split(whereSeparator: { !$0.isLetter && !$0.isNumber })
    return endpoint.method.rawValue.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  private static func tag(_ endpoint: Endpoint) -> String {
    let parts = endpoint.path.split(separator: "/").filter { !["api", "admin"].contains($0) }
    return parts.first.map(String.init) ?? "host"
  }
}
