/// What a rule makes of an event or of a state.
package enum NoticeChange: Sendable, Equatable {
  /// The cause happened, or goes on.
  case raise(NoticeCause)
  /// The cause is gone.
  case clear(NoticeKey)
}

/// The cause of a notice: at most one is open for each.
package struct NoticeKey: Sendable, Hashable {
  /// Nil for the host as a whole.
  package var site: Int64?
  /// Such as `connection:12:expired`.
  package var cause: String

  package init(site: Int64?, cause: String) {
    self.site = site
    self.cause = cause
  }
}

/// A cause with what people read about it.
package struct NoticeCause: Sendable, Equatable {
  package var key: NoticeKey
  /// Names the rule.
  package var kind: String
  package var severity: NoticeSeverity
  /// `{account}` stands for the name of the account that `subject` names.
  package var title: String
  package var message: String
  package var subject: String?
  /// How often it must happen before anybody is told.
  package var threshold: Int
  /// Seconds after which an earlier time no longer counts towards the threshold.
  package var window: Int

  package init(
    _ key: NoticeKey,
    kind: String,
    severity: NoticeSeverity,
    title: String,
    message: String,
    subject: String? = nil,
    threshold: Int = 1,
    window: Int = 3_600
  ) {
    self.key = key
    self.kind = kind
    self.severity = severity
    self.title = title
    self.message = message
    self.subject = subject
    self.threshold = threshold
    self.window = window
  }
}

/// Folds changes in their order: what is left for each cause is whether it was cleared, and how often it happened since.
struct NoticeLedger: Sendable, Equatable {
  struct Entry: Sendable, Equatable {
    var isCleared = false
    var raises = 0
    var last: NoticeCause?
  }

  private(set) var entries: [NoticeKey: Entry] = [:]
  /// In the order of their first change, so that hosts lock rows alike.
  private(set) var order: [NoticeKey] = []

  init(_ changes: [NoticeChange]) {
    for change in changes {
      switch change {
      case .raise(let cause):
        entry(cause.key) {
          $0.raises += 1
          $0.last = cause
        }
      case .clear(let key):
        entry(key) { $0 = Entry(isCleared: true) }
      }
    }
  }

  var cleared: [NoticeKey] { order.filter { entries[$0]?.isCleared == true } }

  var raised: [(cause: NoticeCause, times: Int)] {
    order.compactMap { key in entries[key].flatMap { entry in entry.last.map { ($0, entry.raises) } } }
  }

  private mutating func entry(_ key: NoticeKey, _ body: (inout Entry) -> Void) {
    if entries[key] == nil { order.append(key) }
    body(&entries[key, default: Entry()])
  }
}
