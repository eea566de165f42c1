import Foundation
import PluginKit
import Testing
import plugin_x

@Suite struct ManifestTests {
  /// The manifest file of the plugin.
  private func file() throws -> RawJSON {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try RawJSON(Array(try Data(contentsOf: root.appendingPathComponent("plugin-manifests/x.json"))))
  }

  @Test func theProgramIsWhatItsManifestSays() throws {
    let manifest = try file().object()
    #expect(try manifest.string("id") == XPlatform.manifest.id)
    #expect(try manifest.string("version") == XPlatform.manifest.version)
    #expect(try manifest.strings("methods") == XPlatform.manifest.methods)
    #expect(try manifest.string("executable") == "plugin-x")
  }

  @Test func everyRuleThatTheProgramUsesIsInTheManifest() throws {
    var classes: [String: String] = [:]
    for element in try file().object().array("egress") {
      let rule = try element.object()
      classes[try rule.string("rule")] = try rule.string("class")
    }
    #expect(
      classes == [
        "me": "read", "uploadMedia": "prepare", "initializeUpload": "prepare", "appendUpload": "prepare",
        "finalizeUpload": "prepare", "uploadStatus": "read", "describeMedia": "prepare", "createPost": "commit",
        "timeline": "read", "deletePost": "commit",
      ]
    )
  }
}
