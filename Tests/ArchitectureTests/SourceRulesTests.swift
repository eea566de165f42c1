import Foundation
import Testing

/// Rules of the source that no compiler checks.
@Suite struct SourceRulesTests {
  private static let folders = ["Host", "SDK", "Plugins", "Tests"]

  @Test(arguments: folders) func filesStayShort(folder: String) throws {
    for file in try Repository.swiftFiles(in: folder) {
      #expect(file.lines.count <= 800, "\(file.path) has \(file.lines.count) lines")
    }
  }

  @Test(arguments: ["Host", "SDK", "Plugins"]) func nothingIsLeftUndone(folder: String) throws {
    // Put together, so that this file does not name them itself.
    let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
    for file in try Repository.swiftFiles(in: folder) {
      for line in file.lines {
        for word in words where line.text.contains("// \(word)") || line.text.contains("/// \(word)") {
          Issue.record("\(file.path):\(line.number) has a \(word)")
        }
        #expect(!line.text.contains("try!"), "\(file.path):\(line.number)")
      }
    }
  }

  @Test(arguments: ["SDK", "Plugins"]) func pluginCodeImportsNoFoundation(folder: String) throws {
    for file in try Repository.swiftFiles(in: folder) where !file.path.contains("Sandbox") {
      for line in file.lines {
        #expect(!line.text.hasSuffix("import Foundation"), "\(file.path):\(line.number)")
      }
    }
  }

  /// One place writes rows of the audit trail, and a guide tells of every action.
  @Test func theAuditTrailIsWrittenAtOnePlace() throws {
    for file in try Repository.swiftFiles(in: "Host") where !file.path.hasPrefix("Host/Audit/") {
      for line in file.lines { #expect(!line.text.contains("INTO audit_logs"), "\(file.path):\(line.number)") }
    }
    let guide = try Repository.text("docs/guides/audit.md")
    let actions = try Repository.text("Host/Audit/AuditAction.swift").matches(of: #/= "([^"]+)"/#).map(\.1)
    #expect(actions.count > 50)
    for action in actions { #expect(guide.contains("`\(action)`"), "\(action)") }
  }

  @Test func migrationsAreNumberedWithoutGaps() throws {
    let names = try Repository.files(in: "migrations", where: { $0.hasSuffix(".sql") }).map { $0.path }
    for (index, name) in names.enumerated() {
      #expect(name.hasPrefix("migrations/" + String(format: "%04d_", index + 1)), "\(name)")
    }
    #expect(names.count >= 3)
  }
}
