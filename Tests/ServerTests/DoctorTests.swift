import FoundationEssentials
import JSONDocument
import PluginManifest
import Testing

@testable import Server

@Suite struct DoctorTests {
  private static let day = Date(timeIntervalSince1970: 1_767_225_600)  // 2026-01-01

  private func manifest(_ sunset: String?) throws -> PluginManifest {
    let folder = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }
    let bytes = try Data(contentsOf: URL(filePath: folder + "/plugin-manifests/x.json"))
    var members = try #require(try JSONValue.parse(Array(bytes), maximumDepth: 16).objectValue)
    members["apiVersion"] = .object(["name": "2"].merging(sunset.map { ["sunset": .string($0)] } ?? [:]) { $1 })
    return try PluginManifest.parse(.object(members))
  }

  @Test(
    arguments: [
      (nil, nil), ("2026-03-03", nil), ("2026-03-02", "ends in 60 days, on 2026-03-02"),
      ("2026-01-02", "ends in 1 day, on 2026-01-02"), ("2026-01-01", "ends within a day, on 2026-01-01"),
      ("2025-12-31", "ended on 2025-12-31"), ("2000-02-29", "ended on 2000-02-29"),
    ] as [(String?, String?)]
  )
  func tellsWhenAPlatformEndsWhatAPluginIsWrittenFor(sunset: String?, words: String?) throws {
    let finding = Doctor.sunset(of: try manifest(sunset), at: Self.day)
    #expect((finding == nil) == (words == nil))
    guard let finding, let words else { return }
    #expect(finding.level == .warn && finding.subject == "plugin x")
    #expect(finding.text == "written for version 2 of the platform's interface, which the platform \(words)")
    #expect(finding.advice?.contains("plugin upgrade") == true)
  }
}
