import JSONDocument

/// Reads what the host takes out of answers.
struct CaptureParser {
  let collector: ProblemCollector

  func clauses(_ reader: inout ObjectReader) -> [CaptureClause] {
    var clauses: [CaptureClause] = []
    for (place, value) in reader.elements("capture", atMost: 8) {
      guard var object = ObjectReader(value, path: place, collector: collector), let clause = clause(&object) else {
        continue
      }
      if clauses.contains(where: { $0.name == clause.name }) {
        object.report("as", "repeated", came: "\"\(clause.name)\"")
      } else {
        clauses.append(clause)
      }
    }
    return clauses
  }

  private func clause(_ object: inout ObjectReader) -> CaptureClause? {
    let pointer = object.optionalString("pointer", 1...200, allowed: "a JSON pointer", where: isJSONPointer)
    let header = object.optionalString("header", 1...80, allowed: "a lower-case header name") {
      RuleParser.isHeaderName($0) && !$0.hasPrefix("set-cookie")
    }
    let list = object.optionalString("each", 2...200, allowed: "a JSON pointer that ends in /*") {
      $0.hasSuffix("/*") && ($0 == "/*" || isJSONPointer(String($0.dropLast(2))))
    }
    let name = object.string("as", 1...82, allowed: "a name such as upload, or page:{id} with \"each\"") {
      Self.parts(of: $0) != nil
    }
    let kind = object.choice("kind", CaptureClause.Kind.self)
    var suffixes: [String] = []
    if kind == .url {
      suffixes = self.suffixes(&object)
    } else if let value = object.value("suffix") {
      object.report("suffix", "only for kind url", came: value.shown)
    }
    object.finish()
    let source: CaptureClause.Source?
    switch (pointer, header) {
    case (let pointer?, nil): source = .pointer(pointer)
    case (nil, let header?): source = .header(header)
    default:
      object.report("pointer", "needs one place", allowed: "pointer or header, exactly one")
      source = nil
    }
    guard let source, let kind, let (name, label) = name.flatMap(Self.parts) else { return nil }
    if list != nil, header != nil { object.report("each", "only with a pointer") }
    if label != nil, list == nil { object.report("as", "a member in {} needs \"each\"", came: "\"\(name):{…}\"") }
    return CaptureClause(
      source: source,
      list: list.map { String($0.dropLast(2)) },
      name: name,
      label: label,
      kind: kind,
      suffixes: suffixes
    )
  }

  /// Splits `name` or `name:{member}`.
  private static func parts(of text: String) -> (name: String, label: String?)? {
    let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let name = halves.first, isFieldName(name) else { return nil }
    guard halves.count == 2 else { return (name, nil) }
    let label = String(halves[1].dropFirst().dropLast())
    return halves[1].hasPrefix("{") && halves[1].hasSuffix("}") && isFieldName(label) ? (name, label) : nil
  }

  /// Host names of at least two labels, so that no whole top-level domain is allowed by accident.
  func suffixes(_ object: inout ObjectReader) -> [String] {
    let suffixes = object.strings(
      "suffix",
      atMost: 16,
      required: true,
      allowed: "host names of at least two labels, such as upload.example.com",
      where: { RuleParser.isOrigin("https://\($0)") && !$0.contains(":") }
    )
    if suffixes.isEmpty { object.report("suffix", "no host named", allowed: "at least one host name") }
    return suffixes
  }

  /// The members that a plugin may see of an answer full of secrets.
  func returns(_ reader: inout ObjectReader) -> [String]? {
    guard var object = reader.object("tokenEndpoint") else { return nil }
    let pointers = object.strings(
      "returns",
      atMost: 16,
      allowed: "JSON pointers through objects, such as /expires_in",
      where: RuleParser.isObjectPointer
    )
    object.finish()
    return pointers
  }

  /// Checks that every capture that is used is made by some rule, in the kind that is needed.
  func check(_ rules: [EgressRule]) {
    let known = rules.flatMap(\.captures)
    for (index, rule) in rules.enumerated() {
      if case .capture(let name, _) = rule.origin, !known.contains(where: { $0.name == name && $0.kind == .url }) {
        collector.add("egress[\(index)].origin.capture", "no rule captures an address as \"\(name)\"")
      }
      for name in rule.slots.compactMap(\.value.captureName)
      where !known.contains(where: { $0.name == name && $0.kind == .secret }) {
        collector.add("egress[\(index)].slots", "no rule captures a secret as \"\(name)\"")
      }
    }
  }
}
