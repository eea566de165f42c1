import FoundationEssentials
import HTTPClient
import JobQueue
import Logging
import Postgres
import ServiceTree
import Synchronization
import TestSupport
import Testing

@testable import Notices

@Suite(.database, .timeLimit(.minutes(15))) struct NoticeMailerTests {
  @Test func recipientsFollowRolesAndWishes() async throws {
    try await NoticeFixture.run(mail: true) { fixture in
      func recipients() async throws -> [Int64] {
        let ids: [Int64] = try await fixture.pool.query("SELECT user_id FROM notice_mail_items ORDER BY 1").map {
          try $0.get(0)
        }
        try await fixture.pool.execute("DELETE FROM notice_mail_items")
        return ids
      }
      try await fixture.event("connection.expired", 1)
      #expect(try await recipients() == [fixture.owner])
      try await fixture.inbox.setMail(.critical, of: fixture.viewer)
      try await fixture.event("connection.expired", 2)
      #expect(try await recipients() == [fixture.owner, fixture.viewer])
      try await fixture.event("delivery.unconfirmed", 3)
      #expect(try await recipients() == [fixture.owner])
      try await fixture.inbox.setMail(.off, of: fixture.owner)
      try await fixture.event("connection.expired", 4)
      #expect(try await recipients() == [fixture.viewer])
      try await fixture.inbox.setMail(nil, of: fixture.viewer)
      #expect(try await fixture.inbox.mailSetting(of: fixture.viewer) == nil)
      try await fixture.event("plugin.quarantined", 5, site: 0, #"{"plugin": "probe"}"#)
      #expect(try await recipients() == [fixture.operatorUser])
      try await fixture.event("connection.active", 4)
      #expect(try await recipients().isEmpty)
    }
  }

  private final class Post: Sendable {
    let mails = Mutex<[OutgoingMail]>([])
    let outcomes = Mutex<[MailOutcome]>([])

    func send(_ mail: OutgoingMail) -> MailOutcome {
      mails.withLock { $0.append(mail) }
      return outcomes.withLock { $0.isEmpty ? .sent : $0.removeFirst() }
    }

    var texts: [String] { mails.withLock { $0 }.map { String(decoding: $0.message, as: UTF8.self) } }

    func header(_ name: String) -> [String] {
      texts.compactMap { text in
        text.components(separatedBy: "\r\n").first { $0.hasPrefix(name + ": ") }.map {
          String($0.dropFirst(name.count + 2))
        }
      }
    }
  }

  /// Runs the queue with a mailer until the condition holds.
  private func deliver(
    _ fixture: NoticeFixture,
    _ post: Post,
    limit: Int = 5,
    until done: () async throws -> Bool
  ) async throws {
    let logger = Logger(sink: MemorySink())
    var settings = NoticeMailer.Settings(from: "host@a.example")
    settings.limit = limit
    let mailer = NoticeMailer(pool: fixture.pool, settings: settings, logger: logger) { post.send($0) }
    let queue = JobQueue(
      settings: QueueSettings(home: "test"),
      database: fixture.pool.configuration,
      pool: fixture.pool,
      handlers: [NoticeMailer.kind: mailer],
      logger: logger
    )
    let shutdown = Shutdown()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await Shutdown.$current.withValue(shutdown) { try await queue.run() } }
      while try await !done() { await Task.yield() }
      shutdown.request()
      try await group.waitForAll()
    }
  }

  @Test func aMailACauseAndADigestInAStorm() async throws {
    try await NoticeFixture.run(mail: true) { fixture in
      let post = Post()
      for number in 1...2 { try await fixture.event("connection.expired", Int64(number)) }
      try await deliver(fixture, post, limit: 3) {
        try await fixture.pool.query("SELECT FROM notice_mails WHERE state = 'sent'").count == 2
      }
      #expect(post.header("Subject").allSatisfy { $0 == "[One] an account must be connected again" })
      #expect(Set(post.header("Message-ID")).count == 2)
      // Many at once: one mail for all, and it is the last of these ten minutes.
      for number in 3...9 { try await fixture.event("connection.expired", Int64(number)) }
      try await deliver(fixture, post, limit: 3) {
        try await fixture.pool.query("SELECT FROM notice_mails WHERE state = 'sent'").count == 3
      }
      #expect(post.header("Subject").last == "[Rostrum] 7 notices")
      try await fixture.event("connection.expired", 10)
      try await fixture.event("connection.expired", 11)
      try await deliver(fixture, post, limit: 3) {
        // Everything that there is waits for later.
        try await fixture.pool.query(
          """
          SELECT FROM leases UNION ALL SELECT FROM ready
          UNION ALL SELECT FROM due WHERE due_at < now() + interval '1 minute'
          """
        ).isEmpty
      }
      #expect(post.mails.withLock { $0.count } == 3)
      // The ten minutes are over.
      try await fixture.pool.batch([
        "UPDATE notice_mails SET created_at = created_at - interval '11 minutes'",
        "UPDATE due SET due_at = now()",
      ])
      try await deliver(fixture, post, limit: 3) {
        try await fixture.pool.query("SELECT FROM jobs").isEmpty
      }
      #expect(post.mails.withLock { $0.count } == 5)
      let open = try await fixture.pool.query("SELECT FROM notice_mail_items WHERE mail_id IS NULL")
      #expect(open.isEmpty)
    }
  }

  @Test func whatWasRefusedForNowIsSentAgainAsTheSameMail() async throws {
    try await NoticeFixture.run(mail: true) { fixture in
      let post = Post()
      post.outcomes.withLock { $0 = [.failed(code: 451, "later"), .sent] }
      try await fixture.event("connection.expired")
      try await deliver(fixture, post) {
        try await fixture.pool.execute("UPDATE due SET due_at = now() WHERE due_at > now()")
        return try await fixture.pool.query("SELECT FROM notice_mails WHERE state = 'sent'").count == 1
      }
      let ids = post.header("Message-ID")
      #expect(ids.count == 2)
      #expect(Set(ids).count == 1)
    }
  }

  @Test func whatIsRefusedForEverIsNotSentAgain() async throws {
    try await NoticeFixture.run(mail: true) { fixture in
      let post = Post()
      post.outcomes.withLock { $0 = [.refused(code: 550, "no such person")] }
      try await fixture.event("connection.expired")
      try await deliver(fixture, post) { try await fixture.pool.query("SELECT FROM jobs").isEmpty }
      #expect(post.mails.withLock { $0.count } == 1)
      let rows = try await fixture.pool.query("SELECT error FROM notice_mails WHERE state = 'failed'")
      #expect(try rows.map { try $0.get("error", as: String.self) } == ["no such person"])
    }
  }

  @Test(arguments: [
    (0, 9, NoticeMailQueue.Plan.nothing), (1, 0, .each), (5, 0, .each), (6, 0, .digest), (2, 4, .digest), (1, 4, .each),
    (1, 5, .wait), (100, 7, .wait),
  ])
  func stormsBecomeDigests(waiting: Int, recent: Int, plan: NoticeMailQueue.Plan) {
    #expect(NoticeMailQueue.plan(waiting: waiting, recent: recent, limit: 5) == plan)
  }
}
