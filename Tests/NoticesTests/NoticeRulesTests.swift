import FoundationEssentials
import Outbox
import Testing

@testable import Notices

@Suite struct NoticeRulesTests {
  private func changes(_ kind: String, _ data: String = "{}", site: Int64 = 1) -> [NoticeChange] {
    NoticeRules.changes(
      for: OutboxEvent(eventID: UUID(), site: site, kind: kind, subject: 7, data: data, createdAt: Date())
    )
  }

  private func raised(_ changes: [NoticeChange]) -> [NoticeCause] {
    changes.compactMap { change in
      if case .raise(let cause) = change { cause } else { nil }
    }
  }

  private func cleared(_ changes: [NoticeChange]) -> Set<String> {
    Set(
      changes.compactMap { change in
        if case .clear(let key) = change { key.cause } else { nil }
      }
    )
  }

  @Test(arguments: ["distribution.created", "notice.opened", "webhook.test", "anything.else", ""])
  func mostEventsMeanNothing(kind: String) {
    #expect(changes(kind).isEmpty)
  }

  @Test func failuresCountForTheAccountAndASuccessClearsThem() throws {
    let data = #"{"connectionId": 12, "error": {"message": "No"}}"#
    let cause = try #require(raised(changes("delivery.failed", data)).first)
    #expect(cause.key == NoticeKey(site: 1, cause: "connection:12:failing"))
    #expect(cause.threshold == 5)
    #expect(cause.message.hasSuffix("No"))
    #expect(cleared(changes("delivery.sent", data)).contains("connection:12:failing"))
    #expect(!cleared(changes("delivery.partial", data)).contains("connection:12:failing"))
  }

  @Test func anUnconfirmedDeliveryWaitsForItsAnswer() throws {
    let cause = try #require(raised(changes("delivery.unconfirmed")).first)
    #expect(cause.key.cause == "delivery:7:unconfirmed")
    for kind in ["sent", "partial", "failed", "canceled"] {
      #expect(cleared(changes("delivery.\(kind)")).contains("delivery:7:unconfirmed"), "\(kind)")
    }
  }

  @Test func aConnectionThatWorksAgainClearsItsNotices() throws {
    #expect(raised(changes("connection.expired")).map(\.key.cause) == ["connection:7:expired"])
    #expect(
      cleared(changes("connection.active"))
        == ["connection:7:expired", "connection:7:expiring", "connection:7:renewal"]
    )
    #expect(cleared(changes("connection.revoked")).isSuperset(of: ["connection:7:failing", "connection:7:quota"]))
  }

  @Test func pluginsConcernTheHost() throws {
    let data = #"{"plugin": "probe", "version": "1.0.0", "message": "It died"}"#
    let cause = try #require(raised(changes("plugin.quarantined", data, site: 0)).first)
    #expect(cause.key == NoticeKey(site: nil, cause: "plugin:probe:quarantined"))
    #expect(cause.message == "It died")
    #expect(cause.title.contains("probe"))
    for kind in ["released", "upgraded", "rolledBack", "removed", "installed"] {
      #expect(cleared(changes("plugin.\(kind)", data, site: 0)).contains("plugin:probe:quarantined"), "\(kind)")
    }
    #expect(changes("plugin.quarantined", "[]", site: 0).isEmpty)
    #expect(changes("plugin.quarantined", "no json", site: 0).isEmpty)
  }

  @Test func webhooksThatWereSwitchedOff() {
    #expect(raised(changes("webhook.disabled", #"{"reason": "gone"}"#)).first?.message.contains("410") == true)
    #expect(cleared(changes("webhook.enabled")) == ["webhook:7:disabled"])
    #expect(cleared(changes("webhook.removed")) == ["webhook:7:disabled"])
  }

  @Test func changesAreFoldedInTheirOrder() {
    let (a, b) = (NoticeKey(site: 1, cause: "a"), NoticeKey(site: nil, cause: "a"))
    func raise(_ key: NoticeKey) -> NoticeChange {
      .raise(NoticeCause(key, kind: "k", severity: .info, title: "t", message: "m"))
    }
    let ledger = NoticeLedger([
      raise(a), raise(a), .clear(a), raise(a), raise(b), raise(b), .clear(a), raise(a), raise(a),
    ])
    #expect(ledger.cleared == [a])
    #expect(ledger.raised.map(\.cause.key) == [a, b])
    #expect(ledger.raised.map(\.times) == [2, 2])
    #expect(NoticeLedger([raise(a), .clear(a)]).raised.isEmpty)
    #expect(NoticeLedger([]).order.isEmpty)
  }

  @Test func aDiskIsLowByShareOrBySize() {
    #expect(NoticeState.isLow(free: 4, total: 100))
    #expect(!NoticeState.isLow(free: 5, total: 100))
    #expect(!NoticeState.isLow(free: 6 << 30, total: 4 << 40))
    #expect(NoticeState.isLow(free: 4 << 30, total: 4 << 40))
    #expect(NoticeState.isLow(free: 0, total: .max))
  }
}
