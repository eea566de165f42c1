import JSONText
import PluginProtocol

/// Group 4: validating and rendering.
enum PurityChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("purity.same", "validates and renders to the same bytes, twice and in another process") {
      context in
      let posts = try context.cases().accepted.map(\.post) + context.cases().refused.map(\.post)
      guard !posts.isEmpty else { throw CheckSkip("conformance.json has no posts") }
      let account = try await context.account()
      var seen: [[String]] = []
      for _ in 0..<2 {
        let session = try await context.session(host: context.host(account: account))
        for _ in 0..<2 {
          var answers: [String] = []
          for post in posts {
            answers.append(
              try await session.rawResult { ValidatePostRequest(meta: $0, account: account, post: post) }.text
            )
            answers.append(
              try await session.rawResult { RenderPostRequest(meta: $0, account: account, post: post) }.text
            )
          }
          seen.append(answers)
        }
      }
      try require(Set(seen).count == 1, "gave different answers to the same post")
      return nil
    },
    ConformanceCheck("purity.alone", "asks for nothing while it validates and renders") { context in
      let posts = try context.cases().accepted.map(\.post) + context.cases().refused.map(\.post)
      let host = try await context.host()
      let session = try await context.session(host: host)
      for post in posts {
        _ = try await session.validate(post)
        _ = await rendered(post, session)
      }
      try require(host.exchanges.isEmpty, "asked for \(host.exchanges.count) HTTP requests")
      try require(
        host.otherRequests.isEmpty && host.problems.isEmpty,
        "asked for \(host.otherRequests + host.problems)"
      )
      return nil
    },
    ConformanceCheck("purity.idempotent", "renders a rendered text to the same text") { context in
      let session = try await context.session(host: try await context.host())
      for entry in try context.cases().accepted {
        let once = try await session.render(entry.post)
        var post = entry.post
        post.text = once.text
        let twice = try await session.render(post)
        try require(twice.text == once.text, "“\(entry.name)”: “\(once.text)” became “\(twice.text)”")
      }
      return nil
    },
    ConformanceCheck("purity.accepted", "finds no fault with the posts that must go out") { context in
      let session = try await context.session(host: try await context.host())
      for entry in try context.cases().accepted {
        let errors = try await session.validate(entry.post).findings.filter { $0.severity == .error }
        try require(errors.isEmpty, "“\(entry.name)”: \(errors.map(\.code))")
        guard let wanted = entry.render else { continue }
        let text = try await session.render(entry.post).text
        try require(text == wanted, "“\(entry.name)” is rendered as “\(text)”, wanted is “\(wanted)”")
      }
      return nil
    },
    ConformanceCheck("purity.refused", "finds fault with the posts that the platform would refuse") { context in
      let cases = try context.cases()
      guard !cases.refused.isEmpty else {
        throw CheckFailure("conformance.json has no refused post: no limit is tested")
      }
      let session = try await context.session(host: try await context.host())
      for entry in cases.refused {
        let errors = try await session.validate(entry.post).findings.filter { $0.severity == .error }
        let fitting = errors.contains { finding in
          (entry.field == nil || finding.field == entry.field) && (entry.code == nil || finding.code == entry.code)
        }
        let found = errors.map { "\($0.field) \($0.code)" }
        try require(fitting, "“\(entry.name)”: found \(found.isEmpty ? "nothing" : found.joined(separator: ", "))")
      }
      return nil
    },
  ]

  /// The answer to rendering as one text, an error included.
  private static func rendered(_ post: Post, _ session: AdapterSession) async -> String {
    do { return try await session.render(post).json.canonical().text } catch { return error.description }
  }
}
