import Foundation
import PluginTestKit
import Testing

/// What `rostrum plugin new` writes is what is tested as an example.
@Suite struct AdapterTemplateTests {
  @Test(arguments: zip(AdapterTemplate.allCases, ["Microblog (Swift)", "Microblog (Python)", "Microblog (C)"]))
  func anAdapterNamedAsTheExampleIsTheExample(_ template: AdapterTemplate, _ name: String) throws {
    let id = "example-\(template.rawValue)"
    let files = template.files(id: id, name: name, sdk: "../../..")
    for file in files {
      let example = try Adapters.bytes("SDK/Examples/\(template.rawValue)/\(file.path)")
      #expect(Array(file.text.utf8) == Array(example), "\(file.path)")
    }
    #expect(files.contains { $0.path == "bundle/manifest.json" })
  }

  @Test(arguments: AdapterTemplate.allCases)
  func aNewAdapterBearsItsOwnName(_ template: AdapterTemplate) throws {
    let id = "my-example-\(template.rawValue)"
    let files = template.files(id: id, name: "My Blog", sdk: "https://sdk.example/rostrum.git")
    for file in files {
      let others = file.text.replacing(id, with: "")
      #expect(!others.contains("example-\(template.rawValue)") && !others.contains("my-"), "\(file.path)")
      for word in ["@id@", "@name@", "@language@", "@executable@", "@runtime@"] {
        #expect(!file.text.contains(word), "\(file.path)")
      }
    }
    let manifest = try #require(files.first { $0.path == "bundle/manifest.json" })
    #expect(manifest.text.contains(#""id": "\#(id)","#) && manifest.text.contains(#""name": "My Blog","#))
  }
}
