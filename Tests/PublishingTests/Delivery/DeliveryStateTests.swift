import Testing

@testable import Publishing

@Suite struct DeliveryStateTests {
  /// Every allowed move; all others must be refused.
  private static let allowed: [DeliveryState: [DeliveryEvent: DeliveryState]] = [
    .pending: [.becameDue: .queued, .withdrawn: .canceled, .withdrawnInPart: .partial],
    .queued: [.claimed: .sending, .withdrawn: .canceled, .withdrawnInPart: .partial],
    .retrying: [.becameDue: .queued, .withdrawn: .canceled, .withdrawnInPart: .partial],
    .sending: [
      .released: .queued, .retryPlanned: .retrying, .published: .sent, .publishedInPart: .partial, .gaveUp: .failed,
      .leftUnknown: .unconfirmed, .withdrawn: .canceled, .withdrawnInPart: .partial,
    ],
    .failed: [.askedAgain: .queued, .postedByHand: .sent],
    .partial: [.askedAgain: .queued],
    .unconfirmed: [.askedAgain: .queued, .confirmed: .sent, .gaveUp: .failed, .publishedInPart: .partial],
  ]

  @Test(arguments: DeliveryState.allCases, DeliveryEvent.allCases)
  func movesOnlyAsTheTableSays(state: DeliveryState, event: DeliveryEvent) {
    #expect(state.after(event) == Self.allowed[state]?[event])
  }

  @Test func whatIsSentOrWithdrawnStaysSo() {
    for state in [DeliveryState.sent, .canceled] {
      for event in DeliveryEvent.allCases { #expect(state.after(event) == nil) }
    }
  }

  @Test func onlyOpenStatesCanMoveByThemselves() {
    let byHand: Set<DeliveryEvent> = [.askedAgain, .confirmed, .gaveUp, .publishedInPart, .postedByHand]
    for state in DeliveryState.allCases where state.isEnd {
      for event in DeliveryEvent.allCases where state.after(event) != nil { #expect(byHand.contains(event)) }
    }
  }

  @Test func everyStateHasTheWordsOfTheSpecification() {
    let logWords: Set<String> = ["pending", "queued", "sent", "failed", "canceled"]
    let queueWords: Set<String> = ["waiting", "active", "completed", "failed", "delayed"]
    for state in DeliveryState.allCases {
      #expect(logWords.contains(state.logWord))
      #expect(state.queueWord.map { queueWords.contains($0) } ?? (state == .canceled))
    }
  }
}
