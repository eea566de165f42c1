import Postgres
import Testing

struct BackoffTests {
  @Test(arguments: [(1, 20), (2, 40), (3, 80), (8, 2_000), (1_000_000, 2_000), (0, 20), (-5, 20)])
  func doublesUpToTheMaximum(attempt: Int, milliseconds: Int) {
    #expect(Backoff().delay(afterAttempt: attempt, jitter: 1) == .milliseconds(milliseconds))
  }

  @Test func jitterTakesUpToHalf() {
    #expect(Backoff().delay(afterAttempt: 2, jitter: 0) == .milliseconds(20))
    #expect(Backoff().delay(afterAttempt: 2, jitter: 7) == .milliseconds(40))
  }
}
