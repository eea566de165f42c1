import Foundation
import PluginKit
import Testing
import plugin_webhook

@Suite struct WebhookManifestTests {
  /// The manifest file of the plugin.
  private func file() throws -> RawJSON {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try RawJSON(Array(try Data(contentsOf: root.appendingPathComponent("plugin-manifests/webhook.json"))))
  }

  @Test func theProgramIsWhatItsManifestSays() throws {
    let manifest = try file().object()
    #expect(try manifest.string("id") == WebhookPlatform.manifest.id)
    #expect(try manifest.string("version") == WebhookPlatform.manifest.version)
    #expect(try manifest.strings("methods") == WebhookPlatform.manifest.methods)
    #expect(try manifest.string("executable") == "plugin-webhook")
  }

  @Test func everyRuleThatTheProgramUsesIsInTheManifest() throws {
    var classes: [String: String] = [:]
    for element in try file().object().array("egress") {
      let rule = try element.object()
      classes[try rule.string("rule")] = try rule.string("class")
    }
    #expect(classes == ["ping": "prepare", "send": "commit", "sendDeleted": "commit"])
  }
}
