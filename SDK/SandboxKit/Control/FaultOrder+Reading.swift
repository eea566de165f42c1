extension FaultOrder {
  /// A day in milliseconds, the longest delay.
  private static let longest = 86_400_000

  /// The orders in a body: `{"faults":[…]}`, a list, or one order.
  static func orders(in body: JSON) throws(ControlError) -> [FaultOrder] {
    var values = [body]
    var place = ""
    if let list = body.array {
      values = list
      place = "faults"
    } else if body["faults"] != nil {
      var reader = try ObjectReader(body)
      values = try reader.array("faults") ?? []
      try reader.finish()
      place = "faults"
    }
    var orders: [FaultOrder] = []
    for (index, value) in values.enumerated() {
      orders.append(try read(value, at: place.isEmpty ? "" : "\(place)[\(index)]"))
    }
    return orders
  }

  private static func read(_ json: JSON, at place: String) throws(ControlError) -> FaultOrder {
    var reader = try ObjectReader(json, at: place)
    guard let action = reader.value("action") else { throw ControlError("\(reader.path("action")) is missing") }
    var order = FaultOrder(action: try FaultOrder.action(action, at: reader.path("action")))
    if let match = reader.value("match") { order.match = try readMatch(match, at: reader.path("match")) }
    let probability = try reader.number("probability", in: 0...1)
    let count = try reader.integer("count", in: 1...1_000_000_000)
    order.probability = probability ?? 1
    // Without a number or a chance, a fault happens once: the usual wish of a test.
    order.count = count ?? (probability == nil ? 1 : nil)
    order.skip = try reader.integer("skip", in: 0...1_000_000_000) ?? 0
    order.seed = UInt64(try reader.integer("seed", in: 0...Int.max) ?? 1)
    try reader.finish()
    return order
  }

  private static func readMatch(_ json: JSON, at place: String) throws(ControlError) -> FaultMatch {
    var reader = try ObjectReader(json, at: place)
    var match = FaultMatch()
    if let platform = try reader.string("platform") {
      guard Platform(rawValue: platform) != nil else {
        throw ControlError("\(reader.path("platform")) must be one of \(Platform.names)")
      }
      match.platform = platform
    }
    if let host = try reader.string("host") {
      guard Origins.platform(of: host) != nil else {
        throw ControlError("\(reader.path("host")): the sandbox stands in for no server \(host)")
      }
      match.host = host
    }
    match.method = try reader.string("method")
    match.path = try reader.string("path")
    match.pathEnd = try reader.string("pathEnd")
    match.account = try reader.string("account")
    match.bodyContains = try reader.string("bodyContains").map { Array($0.utf8) }
    match.queryContains = try reader.string("queryContains").map { Array($0.utf8) }
    try reader.finish()
    return match
  }

  /// An action by its name alone, or an object with `kind` and its values.
  static func action(_ json: JSON, at place: String) throws(ControlError) -> FaultAction {
    if let name = json.string { return try action(.object([.init(name: "kind", value: .string(name))]), at: place) }
    var reader = try ObjectReader(json, at: place)
    let kind = try reader.requiredString("kind")
    let action = try action(kind, &reader)
    try reader.finish()
    return action
  }

  private static func action(_ kind: String, _ reader: inout ObjectReader) throws(ControlError) -> FaultAction {
    switch kind {
    case "delay":
      let milliseconds = try milliseconds("ms", &reader)
      let when = try reader.string("when") ?? "beforeCommit"
      return .delay(milliseconds: milliseconds, after: try isAfter(when, reader.path("when")))
    case "resetBeforeCommit": return .resetBeforeCommit
    case "resetAfterCommit": return .resetAfterCommit
    case "commitAfterReset": return .commitAfterReset(milliseconds: try milliseconds("afterMs", &reader))
    case "listLag": return .listLag(milliseconds: try milliseconds("ms", &reader))
    case "status": return .status(try status(&reader))
    case "truncateBody": return .truncateBody
    case "wrongContentType": return .wrongContentType
    case "omit":
      let members = try reader.array("members") ?? []
      guard !members.isEmpty, members.allSatisfy({ $0.string != nil }) else {
        throw ControlError("\(reader.path("members")) must be a list of names")
      }
      return .omit(members.compactMap(\.string))
    default:
      throw ControlError(
        "\(reader.path("kind")) must be one of delay, resetBeforeCommit, resetAfterCommit, commitAfterReset, listLag, "
          + "status, truncateBody, wrongContentType, omit"
      )
    }
  }

  private static func milliseconds(_ name: String, _ reader: inout ObjectReader) throws(ControlError) -> Int {
    guard let value = try reader.integer(name, in: 0...longest) else {
      throw ControlError("\(reader.path(name)) is missing")
    }
    return value
  }

  private static func isAfter(_ when: String, _ path: String) throws(ControlError) -> Bool {
    switch when {
    case "beforeCommit": false
    case "afterCommit": true
    default: throw ControlError("\(path) must be beforeCommit or afterCommit")
    }
  }

  private static func status(_ reader: inout ObjectReader) throws(ControlError) -> StatusFault {
    guard let code = try reader.integer("code", in: 200...599) else {
      throw ControlError("\(reader.path("code")) is missing")
    }
    var fault = StatusFault(code: code)
    fault.afterCommit = try isAfter(try reader.string("when") ?? "beforeCommit", reader.path("when"))
    fault.contentType = try reader.string("contentType")
    switch reader.value("body") {
    case .string(let text): fault.body = Array(text.utf8)
    case .some(let value):
      var writer = JSONWriter()
      writer.value(value)
      fault.body = writer.bytes
    case nil: break
    }
    if let headers = reader.value("headers") {
      guard let members = headers.members else { throw ControlError("\(reader.path("headers")) must be an object") }
      for member in members {
        guard let value = member.value.string, isHeader(member.name, value) else {
          throw ControlError("\(reader.path("headers")).\(member.name) is not a header with a text")
        }
        fault.headers.append(.init(name: member.name.lowercased(), value: value))
      }
    }
    if let value = reader.value("retryAfter") {
      var inner = try ObjectReader(value, at: reader.path("retryAfter"))
      let seconds = try inner.integer("seconds", in: 0...longest) ?? 0
      switch try inner.string("form") ?? "seconds" {
      case "seconds": fault.retryAfter = .seconds(seconds)
      case "date": fault.retryAfter = .date(seconds)
      default: throw ControlError("\(inner.path("form")) must be seconds or date")
      }
      try inner.finish()
    }
    return fault
  }

  private static func isHeader(_ name: String, _ value: String) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ":") }
      && value.utf8.allSatisfy { $0 >= 32 && $0 != 127 }
  }
}
