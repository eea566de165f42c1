package import JSONDocument

extension PluginManifest {
  /// Value of the field `schema` that this host reads.
  package static let schema = "rostrum-plugin/1"
  /// Largest manifest in bytes.
  package static let maximumBytes = 256 * 1024

  /// Reads a manifest from the bytes of its file; the error lists every problem.
  package static func parse(_ bytes: [UInt8]) throws(ManifestError) -> PluginManifest {
    let document: JSONValue
    do {
      document = try JSONValue.parse(bytes, maximumDepth: 16, maximumBytes: maximumBytes)
    } catch {
      throw ManifestError(problems: [ManifestProblem(path: "", problem: "not valid JSON: \(error)")])
    }
    return try parse(document)
  }

  /// Reads a manifest that is already parsed; the error lists every problem.
  package static func parse(_ document: JSONValue) throws(ManifestError) -> PluginManifest {
    let collector = ProblemCollector()
    let manifest = ManifestParser(collector: collector).manifest(document)
    guard collector.problems.isEmpty, let manifest else { throw ManifestError(problems: collector.problems) }
    return manifest
  }
}

/// Turns one document into a manifest; everything that does not fit goes to the collector.
struct ManifestParser {
  let collector: ProblemCollector

  func manifest(_ document: JSONValue) -> PluginManifest? {
    guard var reader = ObjectReader(document, path: "", collector: collector) else { return nil }
    _ = reader.string("schema", 1...40, allowed: "\"\(PluginManifest.schema)\"") { $0 == PluginManifest.schema }
    let id = reader.string("id", 1...40, allowed: Self.slugRule, where: Self.isSlug)
    let name = reader.string("name", 1...80)
    let aliases = reader.strings("aliases", atMost: 8, allowed: Self.slugRule, where: Self.isSlug)
    if let id, aliases.contains(id) { reader.report("aliases", "repeats the id", came: "\"\(id)\"") }
    let kind = reader.choice("kind", PluginManifest.Kind.self)
    let version = version(&reader)
    let description = reader.string("description", 1...500)
    let license = reader.string("license", 1...80)
    let range = protocolRange(&reader)
    let executable = reader.string("executable", 1...64, allowed: Self.fileRule, where: Artifact.isFileName)
    let publisher = publisher(&reader)
    let artifacts = artifacts(&reader, executable: executable)
    let runtime = runtime(&reader)
    let (icon, preview, links) = (icon(&reader), preview(&reader), links(&reader))
    let postAddresses = postAddresses(&reader)
    let (configuration, hashtags, apiVersion) = (configuration(&reader), hashtags(&reader), apiVersion(&reader))
    let methods = methods(&reader, kind: kind)
    let inputs = inputs(&reader)
    let secrets = secrets(&reader)
    let accountFields = accountFields(&reader)
    let oauth = OAuthParser(
      collector: collector,
      configuration: configuration,
      secrets: secrets,
      accountFields: accountFields
    ).declaration(&reader)
    let rules = RuleParser(collector: collector, methods: methods, secrets: secrets, accountFields: accountFields)
      .rules(&reader)
    let reconcile = reconcile(&reader)
    let rateLimits = rateLimits(&reader, rules: rules)
    let (headers, retryAfter) = (rateLimitHeaders(&reader), retryAfter(&reader))
    let limits = limits(&reader)
    reader.finish()
    if reconcile?.absence == .certain { checkSearch(reader, methods: methods, rules: rules) }
    guard
      let id, let name, let kind, let version, let description, let license, let range, let executable, let reconcile,
      let limits
    else { return nil }
    return PluginManifest(
      id: id,
      name: name,
      aliases: aliases,
      kind: kind,
      version: version,
      description: description,
      license: license,
      protocolRange: range,
      publisher: publisher,
      executable: executable,
      artifacts: artifacts,
      runtime: runtime,
      icon: icon,
      preview: preview,
      links: links,
      postAddresses: postAddresses,
      configuration: configuration,
      hashtags: hashtags,
      apiVersion: apiVersion,
      methods: methods.sorted(),
      inputs: inputs,
      oauth: oauth,
      secrets: secrets,
      accountFields: accountFields,
      rules: Dictionary(rules.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }),
      reconcile: reconcile,
      rateLimits: rateLimits,
      rateLimitHeaders: headers,
      retryAfter: retryAfter,
      limits: limits
    )
  }

  // MARK: Parts

  private func version(_ reader: inout ObjectReader) -> SemanticVersion? {
    reader.string("version", 1...64, allowed: "a version such as 1.2.3 or 1.2.3-beta.1") {
      SemanticVersion($0) != nil
    }.flatMap { SemanticVersion($0) }
  }

  private func protocolRange(_ reader: inout ObjectReader) -> ProtocolRange? {
    guard var range = reader.object("protocol", required: true) else { return nil }
    let allowed = "a version such as 1.0"
    let minimum = range.string("min", 3...9, allowed: allowed) { ProtocolRange.Version($0) != nil }
    let maximum = range.string("max", 3...9, allowed: allowed) { ProtocolRange.Version($0) != nil }
    range.finish()
    guard let low = minimum.flatMap({ ProtocolRange.Version($0) }),
      let high = maximum.flatMap({ ProtocolRange.Version($0) })
    else { return nil }
    guard low <= high else {
      range.report("max", "below min", came: "\"\(high)\"", allowed: "\(low) or later")
      return nil
    }
    return ProtocolRange(minimum: low, maximum: high)
  }

  private func methods(_ reader: inout ObjectReader, kind: PluginManifest.Kind?) -> [String] {
    let known =
      switch kind {
      case .platform: PluginMethods.platform
      case .llm: PluginMethods.llm
      case nil: PluginMethods.platform.union(PluginMethods.llm)
      }
    let methods = reader.strings(
      "methods",
      atMost: 32,
      required: true,
      allowed: known.sorted().joined(separator: " | "),
      where: known.contains
    )
    let needed: [String] =
      switch kind {
      case .platform: ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"]
      case .llm: ["llm/generate", "llm/models"]
      case nil: []
      }
    for method in needed where !methods.contains(method) {
      reader.report("methods", "a plugin of this kind must answer \(method)")
    }
    return methods
  }

  private func inputs(_ reader: inout ObjectReader) -> Set<PluginManifest.Input> {
    let allowed = PluginManifest.Input.allCases.map(\.rawValue).joined(separator: " | ")
    let names = reader.strings("input", atMost: 8, allowed: allowed) { PluginManifest.Input(rawValue: $0) != nil }
    return Set(names.compactMap { PluginManifest.Input(rawValue: $0) })
  }

  private func secrets(_ reader: inout ObjectReader) -> [String: SecretDeclaration] {
    guard var object = reader.object("secrets") else { return [:] }
    var secrets: [String: SecretDeclaration] = [:]
    for name in object.names {
      guard var secret = object.object(name) else { continue }
      guard isFieldName(name) else {
        object.report(name, "bad name", allowed: Self.nameRule)
        continue
      }
      let label = secret.string("label", 1...120)
      let source = secret.choice("source", SecretDeclaration.Source.self)
      let format = secret.choice("format", default: SecretDeclaration.Format.text)
      secret.finish()
      if let label, let source {
        secrets[name] = SecretDeclaration(label: label, source: source, format: format)
      }
    }
    return secrets
  }

  private func accountFields(_ reader: inout ObjectReader) -> [AccountField] {
    guard var account = reader.object("account", required: true) else { return [] }
    var fields: [AccountField] = []
    for (place, value) in account.elements("fields", atMost: 16, required: true) {
      guard var field = ObjectReader(value, path: place, collector: collector) else { continue }
      let name = field.string("name", 1...40, allowed: Self.nameRule, where: isFieldName)
      let label = field.string("label", 1...120)
      let type = field.choice("type", AccountField.FieldType.self)
      let isRequired = field.flag("required")
      field.finish()
      guard let name, let label, let type else { continue }
      if fields.contains(where: { $0.name == name }) {
        field.report("name", "repeated", came: "\"\(name)\"")
        continue
      }
      fields.append(AccountField(name: name, label: label, type: type, isRequired: isRequired))
    }
    account.finish()
    return fields
  }

  private func reconcile(_ reader: inout ObjectReader) -> ReconcilePolicy? {
    guard var object = reader.object("reconcile", required: true) else { return nil }
    let absence = object.choice("absence", ReconcilePolicy.Absence.self)
    let settle = object.integer("settleMs", 0...3_600_000)
    object.finish()
    guard let absence, let settle else { return nil }
    return ReconcilePolicy(absence: absence, settle: .milliseconds(settle))
  }

  private func limits(_ reader: inout ObjectReader) -> ResourceLimits? {
    guard var object = reader.object("limits", required: true) else { return nil }
    let inFlight = object.integer("inFlight", 1...1_024)
    let memory = object.integer("memoryMiB", 16...4_096)
    let start = object.integer("startMs", 100...60_000)
    let call = object.integer("callMs", 1_000...900_000)
    let standard = ResourceLimits.standard
    let cpu = object.number("cpu", 0.1...16, default: standard.cpu)
    let pids = object.optionalInteger("pids", 1...512) ?? standard.pids
    let fds = object.optionalInteger("fds", 16...1_024) ?? standard.fds
    let idleStop = object.optionalInteger("idleStopMs", 1_000...86_400_000)
    object.finish()
    guard let inFlight, let memory, let start, let call else { return nil }
    return ResourceLimits(
      inFlight: inFlight,
      memoryMiB: memory,
      cpu: cpu,
      pids: pids,
      fds: fds,
      idleStop: idleStop.map { .milliseconds($0) } ?? standard.idleStop,
      start: .milliseconds(start),
      call: .milliseconds(call)
    )
  }

  /// Certain absence needs something that can search.
  private func checkSearch(_ reader: ObjectReader, methods: [String], rules: [EgressRule]) {
    if !methods.contains("post/reconcile") {
      reader.report("reconcile.absence", "\"certain\" needs the method post/reconcile")
    }
    if !rules.contains(where: { $0.isLookup && $0.allows(callingMethod: "post/reconcile") }) {
      reader.report("reconcile.absence", "\"certain\" needs a rule with \"lookup\": true that post/reconcile may call")
    }
  }

  // MARK: Words

  static let slugRule = "lower-case letters, digits and inner hyphens, 1 to 40, a letter first"
  static let fileRule = "a file name of letters, digits and . _ - + @, no hyphen first"
  static let nameRule = "a letter, then letters, digits or _, at most 40"

  static func isSlug(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, let last = bytes.last, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
      last != UInt8(ascii: "-")
    else { return false }
    return bytes.allSatisfy {
      $0 == UInt8(ascii: "-") || (isAlphanumeric($0) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0))
    }
  }
}
