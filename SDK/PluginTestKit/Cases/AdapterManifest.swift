public import JSONText

/// What the kit needs to know of an adapter's manifest. The host's own reading is stricter; this one names what it needs.
public struct AdapterManifest: Sendable {
  /// Id of the plugin.
  public let id: String
  /// Version of the plugin.
  public let version: String
  /// Methods it declares, sorted.
  public let methods: [String]
  /// File name of the executable, or of the script that the interpreter runs.
  public let executable: String
  /// Absolute path of the interpreter, nil for a program of its own.
  public let interpreter: String?
  /// Outside requests it may ask for, by name.
  public let rules: [String: ManifestRule]
  /// Whether a complete search that finds nothing proves that nothing was published.
  public let absenceIsCertain: Bool
  /// Time it may take to answer `initialize`, in milliseconds.
  public let startMs: Int64
  /// The whole document.
  public let document: RawJSON

  /// Reads a manifest file.
  ///
  /// - Throws: what is missing or of another type, by its name.
  public init(_ bytes: [UInt8]) throws(JSONTextError) {
    document = try RawJSON(bytes)
    let object = try document.object()
    id = try object.string("id")
    version = try object.string("version")
    methods = try object.strings("methods").sorted()
    executable = try object.optionalString("executable") ?? ""
    interpreter = try object.optionalObject("runtime")?.optionalString("interpreter")
    var rules: [String: ManifestRule] = [:]
    for (index, value) in try object.elements("egress").enumerated() {
      do throws(JSONTextError) {
        let rule = try ManifestRule(value)
        rules[rule.name] = rule
      } catch {
        throw error.naming("egress[\(index)]")
      }
    }
    self.rules = rules
    absenceIsCertain = try object.optionalObject("reconcile")?.optionalString("absence") == "certain"
    startMs = try object.optionalObject("limits")?.optionalInt64("startMs") ?? 5_000
  }
}
