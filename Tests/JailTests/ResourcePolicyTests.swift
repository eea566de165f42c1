import Jail
import Testing

@Suite struct ResourcePolicyTests {
  private let start = ContinuousClock.now
  private static let limits = JailLimits(memoryMiB: 100, cpu: 0.5, threads: 8)

  private func sample(mebibytes: Int64 = 10, cpu: Duration = .zero, threads: Int = 1) -> ResourceSample {
    ResourceSample(residentBytes: mebibytes << 20, cpu: cpu, threads: threads)
  }

  @Test func aPeakIsForgiven() {
    var policy = ResourcePolicy(limits: Self.limits)
    for (second, mebibytes) in [Int64(99), 150, 100, 150, 10, 101].enumerated() {
      #expect(policy.judge(sample(mebibytes: mebibytes), at: start + .seconds(second)) == nil)
    }
  }

  @Test func theSecondLookAboveTheLimitKills() {
    var policy = ResourcePolicy(limits: Self.limits)
    #expect(policy.judge(sample(mebibytes: 101), at: start) == nil)
    let verdict = policy.judge(sample(mebibytes: 120), at: start + .seconds(1))
    #expect(verdict == .memory(usedMiB: 120, limitMiB: 100))
    #expect(verdict.map { "\($0)" } == "it used 120 of 100 MiB of memory")
  }

  @Test func twiceTheMemoryKillsAtOnce() {
    var policy = ResourcePolicy(limits: Self.limits)
    #expect(policy.judge(sample(mebibytes: 201), at: start) == .memory(usedMiB: 201, limitMiB: 100))
  }

  @Test func aBusyMinuteKillsAndABurstDoesNot() {
    var burst = ResourcePolicy(limits: Self.limits)
    for second in 0...200 {
      // Two cores for five seconds, then nothing.
      let cpu = Duration.seconds(min(second, 5) * 2)
      #expect(burst.judge(sample(cpu: cpu), at: start + .seconds(second)) == nil)
    }
    var busy = ResourcePolicy(limits: Self.limits)
    for second in 0..<60 {
      #expect(busy.judge(sample(cpu: .seconds(second)), at: start + .seconds(second)) == nil)
    }
    #expect(
      busy.judge(sample(cpu: .seconds(60)), at: start + .seconds(60)) == .cpu(used: 1, limit: 0.5, window: .seconds(60))
    )
  }

  @Test func aLongQuietTimeDoesNotHideABusyMinute() {
    var policy = ResourcePolicy(limits: Self.limits)
    for second in 0...600 { #expect(policy.judge(sample(), at: start + .seconds(second)) == nil) }
    let verdicts = (601...700).map { second in
      policy.judge(sample(cpu: .seconds(second - 600)), at: start + .seconds(second))
    }
    #expect(verdicts.prefix(25).allSatisfy { $0 == nil })
    #expect(verdicts.prefix(60).contains { $0 != nil })
  }

  @Test func manyThreadsKillAtTheSecondLook() {
    var policy = ResourcePolicy(limits: Self.limits)
    #expect(policy.judge(sample(threads: 9), at: start) == nil)
    #expect(policy.judge(sample(threads: 9), at: start) == .threads(used: 9, limit: 8))
  }

  @Test func extremeNumbersDoNotTrap() {
    var policy = ResourcePolicy(limits: JailLimits(memoryMiB: .max, cpu: 0, threads: .max))
    for second in 0...61 {
      _ = policy.judge(
        ResourceSample(residentBytes: .max, cpu: .seconds(second * 1_000_000), threads: .max),
        at: start + .seconds(second)
      )
    }
    #expect("\(ResourceKill.cpu(used: .greatestFiniteMagnitude, limit: -1, window: .zero))".contains("of 0.00"))
  }
}
