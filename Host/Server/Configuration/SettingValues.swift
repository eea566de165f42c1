internal import FoundationEssentials
internal import Glibc

/// The texts of the settings, gathered from the environment and the settings file; the environment wins.
struct SettingValues {
  private(set) var texts: [Setting: String] = [:]
  private(set) var problems: [String] = []
  private(set) var warnings: [String] = []

  /// - Parameter file: The settings file's name for messages, and its values.
  init(environment: [String: String], file: (name: String, values: [String: String])?) {
    for (name, value) in (file?.values ?? [:]).sorted(by: { $0.key < $1.key }) {
      // What the environment says about the same setting, in either form, replaces what the file says.
      if let setting = Self.setting(of: name), Self.names(of: setting).contains(where: { environment[$0] != nil }) {
        continue
      }
      take(name, value, from: file?.name ?? "", others: file?.values ?? [:])
    }
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
      take(name, value, from: "the environment", others: environment)
    }
  }

  private mutating func take(
    _ name: String,
    _ value: String,
    from source: String,
    others: [String: String]
  ) {
    guard let setting = Self.setting(of: name) else {
      if name.hasPrefix("ROSTRUM_") {
        problems.append(Self.unknown(name, source))
      } else if Setting.isUnused(name) {
        warnings.append("\(name) in \(source) is not used: Rostrum keeps its queue in PostgreSQL")
      }
      // What else stands there may be a platform's, whose names the manifests say.
      return
    }
    guard name != setting.rawValue else {
      // An empty variable is how many tools say "not set".
      if !value.isEmpty { texts[setting] = value }
      return
    }
    if others[setting.rawValue].map({ !$0.isEmpty }) ?? false {
      problems.append("\(setting.rawValue) and \(name) are both set in \(source); set one of them")
      return
    }
    if value.isEmpty { return }
    guard let data = FileManager.default.contents(atPath: value), let text = String(validating: data, as: UTF8.self)
    else {
      problems.append("\(name) is “\(value)”; allowed is the path of a text file that can be read")
      return
    }
    if setting.isSecret, Self.isReadableByOthers(value) {
      warnings.append("\(name): other users of this machine can read \(value); run `chmod 600 \(value)`")
    }
    let line = text.reversed().drop(while: \.isWhitespace).reversed()
    texts[setting] = String(line)
  }

  private static func names(of setting: Setting) -> [String] {
    [setting.rawValue, setting.rawValue + Setting.fileSuffix]
  }

  private static func setting(of name: String) -> Setting? {
    if let setting = Setting(rawValue: name) { return setting }
    guard name.hasSuffix(Setting.fileSuffix) else { return nil }
    return Setting(rawValue: String(name.dropLast(Setting.fileSuffix.count)))
  }

  private static func unknown(_ name: String, _ source: String) -> String {
    let known = Setting.allCases.map(\.rawValue).filter { $0.hasPrefix("ROSTRUM_") }
    return "\(name) in \(source) is not known; allowed are \(known.joined(separator: ", "))"
  }

  private static func isReadableByOthers(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & 0o004 != 0
  }
}
