import FoundationEssentials
import PluginManifest
import Testing

@Suite struct ManifestStoreTests {
  @Test func findsByIdAndAlias() throws {
    try withDirectory(["sample.json": ManifestSample.text]) { directory in
      let store = try ManifestStore.load(directory: directory)
      #expect(store.problems.isEmpty)
      #expect(store.manifest(named: "sample")?.id == "sample")
      #expect(store.manifest(named: "specimen")?.id == "sample")
      #expect(store.manifest(named: "Sample") == nil)
    }
  }

  @Test func badFilesAreProblemsAndOthersStay() throws {
    let files = [
      "broken.json": "{", "other.json": ManifestSample.text, "sample.json": ManifestSample.text, "note.txt": "x",
    ]
    try withDirectory(files) { directory in
      let store = try ManifestStore.load(directory: directory)
      #expect(store.manifests.map(\.id) == ["sample"])
      #expect(store.problems.map(\.file) == ["broken.json", "other.json"])
      #expect(store.problems.last?.description.contains("differs from the file's name") == true)
    }
  }

  @Test func aNameThatIsTakenIsAProblemOfTheLater() throws {
    let other = ManifestSample.text.replacing(#""id": "sample""#, with: #""id": "zebra""#)
    try withDirectory(["sample.json": ManifestSample.text, "zebra.json": other]) { directory in
      let store = try ManifestStore.load(directory: directory)
      #expect(store.manifests.map(\.id) == ["sample"])
      #expect(store.problems.map(\.description) == [#"zebra.json: id: "specimen" already names sample"#])
    }
  }

  @Test func anAbsentFolderThrows() {
    #expect(throws: (any Error).self) { try ManifestStore.load(directory: "/nonexistent/manifests") }
  }

  private func withDirectory(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "manifests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    // A leftover folder does no harm to other tests.
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, text) in files { try Data(text.utf8).write(to: directory.appending(path: name)) }
    try body(directory.path)
  }
}
