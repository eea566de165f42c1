import FoundationEssentials
import Glibc
import JSONText
import PluginProtocol

/// Group 9: what belongs to an adapter beside its program.
enum PackageChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("package.manifest", "its manifest says what it is, for whom and under which license") { context in
      let object = try context.manifest.document.object()
      for key in ["schema", "name", "description", "license"] {
        let text = try object.optionalString(key) ?? ""
        try require(!text.isEmpty, "the manifest lacks “\(key)”")
      }
      let parts = context.manifest.version.split(separator: "-")[0].split(separator: ".")
      try require(parts.count == 3 && parts.allSatisfy { Int($0) != nil }, "the version is not MAJOR.MINOR.PATCH")
      let needed = ["account/capabilities", "account/identify", "post/publish", "post/render", "post/validate"]
      let missing = needed.filter { !context.manifest.methods.contains($0) }
      try require(missing.isEmpty || context.manifest.methods.contains("llm/generate"), "lacks the methods \(missing)")
      return nil
    },
    ConformanceCheck("package.labels", "labels every secret and every field that people fill in") { context in
      let object = try context.manifest.document.object()
      for (name, secret) in try object.optionalObject("secrets")?.all ?? [] {
        try require(try secret.object().optionalString("label")?.isEmpty == false, "the secret “\(name)” has no label")
      }
      for field in try object.optionalObject("account")?.elements("fields") ?? [] {
        let field = try field.object()
        let label = try field.optionalString("label") ?? ""
        let name = try field.optionalString("name") ?? ""
        try require(!label.isEmpty, "the account field “\(name)” has no label")
      }
      return nil
    },
    ConformanceCheck("package.classes", "every request that changes something is of class prepare or commit") {
      context in
      for rule in context.manifest.rules.values where !["GET", "HEAD"].contains(rule.method) {
        try require(
          rule.effectClass != "read" || rule.reason != nil,
          "the rule \(rule.name) gives no reason for class read"
        )
      }
      let publishing = context.manifest.rules.values.contains {
        $0.effectClass == "commit" && $0.allows("post/publish")
      }
      try require(
        publishing || context.manifest.methods.contains("llm/generate"),
        "no commit may be used by post/publish"
      )
      return nil
    },
    ConformanceCheck("package.program", "its program is there and may be executed") { context in
      let programs = [context.launch.executable] + context.launch.arguments.filter { $0.hasPrefix("/") }
      for program in programs {
        try require(FileManager.default.fileExists(atPath: program), "\(program) does not exist")
      }
      try require(unsafe access(context.launch.executable, X_OK) == 0, "\(context.launch.executable) is not executable")
      return nil
    },
    ConformanceCheck("package.documents", "says in README.md how to use it") { context in
      guard let directory = context.suite.directory else { throw CheckSkip("no folder was given") }
      let text = FileManager.default.contents(atPath: directory + "/README.md").map {
        String(decoding: $0, as: UTF8.self)
      }
      try require((text ?? "").contains { !$0.isWhitespace }, "there is no README.md in \(directory)")
      return nil
    },
    ConformanceCheck("package.cases", "brings posts, refused posts, answers and failures for this suite") { context in
      guard let cases = context.suite.cases else { throw CheckFailure("there is no conformance.json") }
      try require(!cases.accepted.isEmpty, "conformance.json has no “posts”")
      let unknown = (cases.replies + cases.failures.map(\.reply)).map(\.rule).filter {
        context.manifest.rules[$0] == nil
      }
      try require(unknown.isEmpty, "conformance.json answers rules that the manifest does not have: \(unknown)")
      return nil
    },
  ]
}
