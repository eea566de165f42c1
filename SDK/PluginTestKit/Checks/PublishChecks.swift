import JSONText
import PluginProtocol

/// Group 5: what must never happen twice.
enum PublishChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("publish.once", "publishes each post, and asks only for what its manifest grants") { context in
      for entry in try context.cases().accepted {
        let host = try await context.host()
        let end = try await context.deliver(entry.post, host: host)
        guard case .sent(let published) = end else { throw CheckFailure("“\(entry.name)” ended as \(end)") }
        try require(!published.remoteID.isEmpty, "“\(entry.name)” has no remoteId")
        try require(host.hasAcceptedCommit, "“\(entry.name)” was called published without a commit")
        try require(host.problems.isEmpty, "“\(entry.name)”: \(host.problems.joined(separator: "; "))")
      }
      return nil
    },
    ConformanceCheck("publish.same", "asks for the same requests when it runs again") { context in
      for entry in try context.cases().accepted {
        let account = try await context.account()
        var runs: [[String]] = []
        for _ in 0..<2 {
          let host = context.host(account: account)
          _ = try await context.deliver(entry.post, host: host)
          runs.append(host.exchanges.map { "\($0.request.step ?? "") \($0.digest)" }.sorted())
        }
        guard runs[0] != runs[1] else { continue }
        let odd = zip(runs[0], runs[1]).first { $0 != $1 }
        throw CheckFailure(
          "“\(entry.name)”: first \(odd?.0 ?? "\(runs[0].count) requests"), then \(odd?.1 ?? "\(runs[1].count)")"
        )
      }
      return nil
    },
    ConformanceCheck("publish.replay", "runs again after its end and does nothing anew") { context in
      let post = try context.post()
      let host = try await context.host()
      _ = try await context.deliver(post, host: host)
      let before = host.effects
      guard case .sent = try await context.deliver(post, host: host) else {
        throw CheckFailure("did not end as published the second time")
      }
      try require(host.effects == before, "did \(host.effects.count - before.count) things again")
      return nil
    },
    crash("publish.crash-before", "survives a kill before every request of a post") { _ in .adapterDiesBefore },
    crash("publish.crash-after", "survives a kill after every request of a post") { _ in .adapterDiesAfter },
    crash("publish.power-cut-before", "survives the end of host and adapter before every commit", commitsAlone: true) {
      _ in .hostDies(happened: false)
    },
    crash("publish.power-cut-after", "survives the end of host and adapter after every commit", commitsAlone: true) {
      _ in .hostDies(happened: true)
    },
    ConformanceCheck("publish.lost-answer", "does not call a commit failed, nor repeat it, when its answer is lost") {
      context in
      return try await forEachCommit(context) { post, number, account, clean in
        let host = context.host(account: account) { at, _, _ in at == number ? .answerLost : nil }
        let session = try await context.session(host: host)
        do {
          let end = try await session.publish(post)
          if case .published = end { throw CheckFailure("called a post published whose commit has no answer") }
        } catch let error as ProtocolError {
          try require(
            error.retry == .reconcile || error.kind == .outcomeUnknown,
            "turned outcomeUnknown into \(error.kind); let it pass"
          )
        }
        try require(host.effects.filter(\.isCommit).count <= clean, "sent the commit again")
        try require(host.problems.isEmpty, host.problems.joined(separator: "; "))
        guard context.manifest.methods.contains(ReconcilePostRequest.method) else { return }
        if case .absent = try await session.reconcile(post), context.manifest.absenceIsCertain {
          throw CheckFailure("the search says absent, but the post is out")
        }
      }
    },
    ConformanceCheck("publish.not-sent", "does not find a post that never went out") { context in
      guard context.manifest.methods.contains(ReconcilePostRequest.method) else { throw CheckSkip("it cannot search") }
      return try await forEachCommit(context, firstOnly: true) { post, number, account, _ in
        let host = context.host(account: account) { at, _, _ in at == number ? .hostDies(happened: false) : nil }
        let session = try await context.session(host: host)
        await ignoringFailure { _ = try await session.publish(post) }
        let next = try await context.session(host: host)
        if case .found(let id, _) = try await next.reconcile(post) {
          throw CheckFailure("found \(id), which nobody published")
        }
      }
    },
    ConformanceCheck("publish.kinds", "turns the platform's refusals into the right kinds of error") { context in
      let failures = try context.cases().failures
      guard !failures.isEmpty else { throw CheckFailure("conformance.json has no failures: no error is tested") }
      let post = try context.post()
      for failure in failures {
        let reply = failure.reply
        let answer = HTTPAnswer(status: reply.status, headers: reply.headers, json: reply.json, text: reply.text)
        let host = try await context.host { _, request, _ in request.rule == reply.rule ? .answered(answer) : nil }
        let session = try await context.session(host: host)
        let name = "status \(reply.status) to \(reply.rule)"
        do {
          let end = try await session.publish(post)
          throw CheckFailure("\(name) ended as \(end)")
        } catch let error as ProtocolError {
          try require(error.kind.rawValue == failure.kind, "\(name) became \(error), wanted is \(failure.kind)")
          if let wanted = failure.retryAfterMs {
            try require(
              error.retryAfterMs == wanted,
              "\(name): retryAfterMs is \(error.retryAfterMs ?? 0), not \(wanted)"
            )
          }
        }
      }
      return nil
    },
    ConformanceCheck("publish.odd-answers", "takes empty, cut and foreign answers for errors, not for success") {
      context in
      let post = try context.post()
      let clean = try await context.host()
      _ = try await context.deliver(post, host: clean)
      for number in 1...max(1, clean.exchanges.count) {
        for (name, answer) in oddAnswers {
          let host = try await context.host { at, _, _ in at == number ? .answered(answer) : nil }
          let session = try await context.session(host: host)
          do {
            if case .published(let published) = try await session.publish(post) {
              try require(!published.remoteID.isEmpty, "\(name) to request \(number) became a post without an id")
            }
          } catch let error as ProtocolError {
            try require(error.kind != .connectionLost, "\(name) to request \(number) ended the adapter")
          }
          try require(session.process.current.exit == nil, "\(name) to request \(number) ended the adapter")
        }
      }
      return nil
    },
    ConformanceCheck("publish.delete", "removes a post, also one that is gone already") { context in
      guard context.manifest.methods.contains(DeletePostRequest.method) else { throw CheckSkip("it cannot delete") }
      let host = try await context.host()
      let session = try await context.session(host: host)
      try require(try await session.delete("42"), "did not say that the post is deleted")
      let gone = HTTPAnswer(status: 404, json: .emptyObject)
      let other = try await context.host { _, _, rule in
        rule.effectClass == "commit" && rule.method == "DELETE" ? .answered(gone) : nil
      }
      try require(try await context.session(host: other).delete("42"), "a post that is gone counts as deleted")
      try require(host.problems + other.problems == [], "\(host.problems + other.problems)")
      return nil
    },
  ]

  private static let oddAnswers: [(String, HTTPAnswer)] = [
    ("an empty answer", HTTPAnswer(status: 200, text: "")),
    ("an HTML page", HTTPAnswer(status: 200, headers: ["content-type": "text/html"], text: "<html>hello</html>")),
    ("cut JSON", HTTPAnswer(status: 201, text: #"{"data":{"id":"1"#, truncated: true)),
    ("an empty object", HTTPAnswer(status: 200, json: .emptyObject)),
    ("a list", HTTPAnswer(status: 200, json: RawJSON.array([]) { (_, _: Int) in })),
    ("null", HTTPAnswer(status: 200, json: .null)),
    ("status 500 with HTML", HTTPAnswer(status: 500, text: "<h1>oops</h1>")),
    ("status 204", HTTPAnswer(status: 204)),
  ]

  /// Breaks a delivery at each of its requests in turn, and counts what the platform saw.
  private static func crash(
    _ id: String,
    _ title: String,
    commitsAlone: Bool = false,
    fault: @escaping @Sendable (ManifestRule) -> HostFault
  ) -> ConformanceCheck {
    ConformanceCheck(id, title) { context in
      var points = 0
      for entry in try context.cases().accepted {
        let account = try await context.account()
        let clean = context.host(account: account)
        _ = try await context.deliver(entry.post, host: clean)
        for exchange in clean.exchanges {
          let number = exchange.number
          guard let rule = context.manifest.rules[exchange.request.rule] else { continue }
          if commitsAlone, rule.effectClass != "commit" { continue }
          points += 1
          let host = context.host(account: account) { at, _, rule in at == number ? fault(rule) : nil }
          let end = try await context.deliver(entry.post, host: host)
          try judge(end, host, clean, "“\(entry.name)”, request \(number) (\(exchange.request.rule))")
        }
      }
      guard points > 0 else { throw CheckSkip("there is no request to break") }
      return "\(points) kills"
    }
  }

  private static func judge(_ end: Delivery.End, _ host: KitHost, _ clean: KitHost, _ place: String) throws {
    try require(host.problems.isEmpty, "\(place): \(host.problems.joined(separator: "; "))")
    let commits = host.effects.filter(\.isCommit)
    let wanted = clean.effects.filter(\.isCommit).count
    try require(commits.count <= wanted, "\(place): published \(commits.count) things instead of \(wanted)")
    let uploads = host.effects.filter { !$0.isCommit }.map(\.step)
    let once = clean.effects.filter { !$0.isCommit }.count
    try require(uploads.count <= once, "\(place): repeated what the journal had: \(uploads)")
    switch end {
    case .sent: try require(commits.count == wanted, "\(place): says published after \(commits.count) of \(wanted)")
    case .found: try require(!commits.isEmpty, "\(place): found what nobody published")
    case .unconfirmed: return
    case .partial, .failed: throw CheckFailure("\(place): ended as \(end)")
    }
  }

  /// Runs the body for each request of class commit, with the number of commits of a clean run.
  private static func forEachCommit(
    _ context: CheckContext,
    firstOnly: Bool = false,
    _ body: (Post, Int, Account, Int) async throws -> Void
  ) async throws -> String? {
    let post = try context.post()
    let account = try await context.account()
    let clean = context.host(account: account)
    _ = try await context.deliver(post, host: clean)
    let commits = clean.exchanges.filter { context.manifest.rules[$0.request.rule]?.effectClass == "commit" }
    guard !commits.isEmpty else { throw CheckFailure("publishing made no commit") }
    for exchange in firstOnly ? Array(commits.prefix(1)) : commits {
      try await body(post, exchange.number, account, commits.count)
    }
    return nil
  }
}
