package import FoundationEssentials

/// All manifests of one folder, found by id or alias.
package struct ManifestStore: Sendable {
  /// What is wrong with one file; the plugin of that file is not available.
  package struct FileProblem: Sendable, Equatable, CustomStringConvertible {
    /// File name without folder.
    package let file: String
    package let error: ManifestError

    package var description: String { "\(file): \(error)" }
  }

  /// Sorted by id.
  package let manifests: [PluginManifest]
  /// Sorted by file name.
  package let problems: [FileProblem]
  private let byName: [String: Int]

  /// Keeps manifests that are already parsed; an id or alias used twice is refused as a problem of the later one.
  package init(_ manifests: [PluginManifest]) {
    self.init(entries: manifests.map { ("\($0.id).json", $0) }, problems: [])
  }

  private init(entries: [(file: String, manifest: PluginManifest)], problems: [FileProblem]) {
    var problems = problems
    var kept: [PluginManifest] = []
    var byName: [String: Int] = [:]
    for (file, manifest) in entries.sorted(by: { $0.manifest.id < $1.manifest.id }) {
      let taken = ([manifest.id] + manifest.aliases).compactMap { name in
        byName[name].map { ManifestProblem(path: "id", problem: "\"\(name)\" already names \(kept[$0].id)") }
      }
      guard taken.isEmpty else {
        problems.append(FileProblem(file: file, error: ManifestError(problems: taken)))
        continue
      }
      for name in [manifest.id] + manifest.aliases { byName[name] = kept.count }
      kept.append(manifest)
    }
    self.manifests = kept
    self.problems = problems.sorted { $0.file < $1.file }
    self.byName = byName
  }

  /// Reads every `*.json` file of the folder; blocking. Bad files become problems, an unreadable folder throws.
  package static func load(_ directory: URL) throws -> ManifestStore {
    try load(directory: directory.path)
  }

  /// Reads every `*.json` file of the folder; blocking. Bad files become problems, an unreadable folder throws.
  package static func load(directory: String) throws -> ManifestStore {
    let files = try FileManager.default.contentsOfDirectory(atPath: directory)
      .filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
    var entries: [(file: String, manifest: PluginManifest)] = []
    var problems: [FileProblem] = []
    for file in files.sorted() {
      do {
        let bytes = try Data(contentsOf: URL(filePath: directory + "/" + file))
        let manifest = try PluginManifest.parse(Array(bytes))
        guard file == manifest.id + ".json" else {
          throw ManifestError(problems: [
            ManifestProblem(path: "id", problem: "differs from the file's name", came: "\"\(manifest.id)\"")
          ])
        }
        entries.append((file, manifest))
      } catch let error as ManifestError {
        problems.append(FileProblem(file: file, error: error))
      } catch {
        let problem = ManifestProblem(path: "", problem: "cannot be read: \(error)")
        problems.append(FileProblem(file: file, error: ManifestError(problems: [problem])))
      }
    }
    return ManifestStore(entries: entries, problems: problems)
  }

  /// Finds a plugin by id or alias.
  package func manifest(named name: String) -> PluginManifest? {
    byName[name].map { manifests[$0] }
  }
}
