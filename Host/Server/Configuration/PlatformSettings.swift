package import Cryptography
internal import FoundationEssentials
internal import Glibc
package import OAuth
internal import PluginStore

/// What operators set for platforms, under the names that manifests choose: the host knows them only when a plugin asks.
///
/// A value stands in the environment or the settings file, or in a file that `NAME_FILE` names; the environment wins.
package struct PlatformSettings: Sendable {
  private let values: [String: Secret]
  /// Names in the settings file, for a word about those that nobody knows.
  private let fileNames: Set<String>

  private static let maximumBytes = 64 << 10

  /// Takes everything that is no setting of the host, which no manifest may read.
  init(environment: [String: String], file: [String: String]?) {
    var values: [String: Secret] = [:]
    for (name, value) in file ?? [:] where Self.isForeign(name) && !value.isEmpty {
      if Self.forms(of: name).allSatisfy({ environment[$0] == nil }) { values[name] = Secret(value) }
    }
    for (name, value) in environment where Self.isForeign(name) && !value.isEmpty { values[name] = Secret(value) }
    self.values = values
    fileNames = Set((file ?? [:]).keys.filter(Self.isForeign))
  }

  /// The value of a name of a manifest's `configuration`; nil for nothing.
  ///
  /// - Throws: ``PlatformAppError/badSetting(_:)``.
  package func value(of name: String) async throws(PlatformAppError) -> Secret? {
    guard Self.isForeign(name) else { throw .badSetting("\(name) is a setting of the host; a plugin can not have it") }
    let fileName = name + Setting.fileSuffix
    guard let path = values[fileName]?.revealText() else { return values[name] }
    guard values[name] == nil else { throw .badSetting("\(name) and \(fileName) are both set; set one of them") }
    do {
      return try await Disk.run { try Self.read(path, fileName) }
    } catch let error as PlatformAppError {
      throw error
    } catch {
      throw .badSetting("\(fileName) can not be read")
    }
  }

  /// Lines of the settings file that neither the host nor a manifest knows.
  package func unknown(besides known: Set<String>) -> [String] {
    fileNames.filter { name in Self.forms(of: name).allSatisfy { !known.contains($0) } }.sorted()
  }

  private static func read(_ path: String, _ name: String) throws(PlatformAppError) -> Secret {
    guard let data = FileManager.default.contents(atPath: path), data.count <= maximumBytes,
      let text = String(validating: data, as: UTF8.self)
    else { throw .badSetting("\(name) is “\(path)”; allowed is the path of a text file that can be read") }
    return Secret(String(text.reversed().drop(while: \.isWhitespace).reversed()))
  }

  /// The name itself, and the name behind which it may stand in a file or whose file it names.
  private static func forms(of name: String) -> [String] {
    let suffix = Setting.fileSuffix
    return name.hasSuffix(suffix) ? [name, String(name.dropLast(suffix.count))] : [name, name + suffix]
  }

  private static func isForeign(_ name: String) -> Bool {
    !name.hasPrefix("ROSTRUM_") && !Setting.isUnused(name)
      && forms(of: name).allSatisfy { Setting(rawValue: $0) == nil }
  }
}
