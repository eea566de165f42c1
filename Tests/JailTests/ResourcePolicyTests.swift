import Jail
import Testing

@Suite struct ResourcePolicyTests {
  private let start = ContinuousClock.now
  private static let limits = JailLimits(memoryMiB: 100, cpu: 0.5, threads: 8)

  private func sample(mebibytes: Int64 = 10, cpu: Duration = .zero, threads: Int = 1) -> ResourceSample {
    ResourceSample(residentBytes: mebibytes << 20, cpu: cpu, threads: threads)
  }

  @Test func aPeakIsForgiven() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    for (second, mebibytes) in [Int64(99), 150, 100, 150, 10, 101].enumerated() {
      #expect(policy.judge(sample(mebibytes: mebibytes), at: start + .seconds(second)) == nil)
    }
  }

  @Test func aQuarterOfASecondAboveTheLimitKills() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    #expect(policy.judge(sample(mebibytes: 101), at: start) == nil)
    #expect(policy.judge(sample(mebibytes: 130), at: start + .milliseconds(240)) == nil)
    let verdict = policy.judge(sample(mebibytes: 120), at: start + .milliseconds(250))
    #expect(verdict == .memory(usedMiB: 120, limitMiB: 100))
    #expect(verdict.map { "\($0)" } == "it used 120 of 100 MiB of memory")
  }

  @Test func twiceTheMemoryKillsAtOnce() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    #expect(policy.judge(sample(mebibytes: 201), at: start) == .memory(usedMiB: 201, limitMiB: 100))
  }

  @Test func aBusyMinuteKillsAndABurstDoesNot() {
    var burst = ResourcePolicy(limits: Self.limits, start: start)
    for second in 0...200 {
      // Two cores for five seconds, then nothing.
      let cpu = Duration.seconds(min(second, 5) * 2)
      #expect(burst.judge(sample(cpu: cpu), at: start + .seconds(second)) == nil)
    }
    var busy = ResourcePolicy(limits: Self.limits, start: start)
    for second in 0..<60 {
      #expect(busy.judge(sample(cpu: .seconds(second)), at: start + .seconds(second)) == nil)
    }
    #expect(
      busy.judge(sample(cpu: .seconds(60)), at: start + .seconds(60)) == .cpu(used: 1, limit: 0.5, window: .seconds(60))
    )
  }

  @Test func aLongQuietTimeDoesNotHideABusyMinute() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    for second in 0...600 { #expect(policy.judge(sample(), at: start + .seconds(second)) == nil) }
    let verdicts = (601...700).map { second in
      policy.judge(sample(cpu: .seconds(second - 600)), at: start + .seconds(second))
    }
    #expect(verdicts.prefix(25).allSatisfy { $0 == nil })
    #expect(verdicts.prefix(60).contains { $0 != nil })
  }

  @Test func manyThreadsKillAfterAQuarterOfASecond() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    #expect(policy.judge(sample(threads: 9), at: start) == nil)
    #expect(policy.judge(sample(threads: 9), at: start + .milliseconds(100)) == nil)
    // A look at the memory alone says nothing about threads.
    #expect(policy.judge(ResourceSample(residentBytes: 1), at: start + .milliseconds(200)) == nil)
    #expect(policy.judge(sample(threads: 9), at: start + .milliseconds(250)) == .threads(used: 9, limit: 8))
  }

  @Test func aPluginThatWaitsIsLookedAtTwiceASecond() {
    var policy = ResourcePolicy(limits: Self.limits, start: start)
    _ = policy.judge(sample(), at: start)
    #expect(policy.pause(at: start) == .milliseconds(100))
    #expect(policy.wantsWholeLook(at: start + .milliseconds(100)))
    let later = start + .seconds(10)
    _ = policy.judge(sample(), at: later)
    #expect(policy.pause(at: later) == .milliseconds(500))
    #expect(!policy.wantsWholeLook(at: later + .seconds(4)))
    #expect(policy.wantsWholeLook(at: later + .seconds(5)))
    policy.noteWork(at: later)
    #expect(policy.pause(at: later) == .milliseconds(100))
    #expect(policy.wantsWholeLook(at: later + .seconds(1)))
    #expect(policy.pause(at: later + .seconds(3)) == .milliseconds(500))
  }

  @Test func aPluginThatGrowsIsLookedAtBeforeItReachesItsLimit() {
    var policy = ResourcePolicy(limits: Self.limits, start: start - .seconds(10))
    _ = policy.judge(sample(mebibytes: 10), at: start)
    // 20 MiB a second leave 3.5 s, so the usual pause is soon enough; at 40 the limit is 0.75 s away.
    _ = policy.judge(sample(mebibytes: 30), at: start + .seconds(1))
    #expect(policy.pause(at: start + .seconds(1)) == .milliseconds(500))
    _ = policy.judge(sample(mebibytes: 70), at: start + .seconds(2))
    let pause = policy.pause(at: start + .seconds(2))
    #expect(pause > .milliseconds(370) && pause < .milliseconds(380))
    _ = policy.judge(sample(mebibytes: 99), at: start + .seconds(2) + .milliseconds(1))
    #expect(policy.pause(at: start + .seconds(3)) == .milliseconds(20))
    // Above its limit it is looked at often, whether it grows or not.
    _ = policy.judge(sample(mebibytes: 101), at: start + .seconds(4))
    _ = policy.judge(sample(mebibytes: 101), at: start + .seconds(4) + .milliseconds(20))
    #expect(policy.pause(at: start + .seconds(5)) == .milliseconds(20))
    _ = policy.judge(sample(mebibytes: 50), at: start + .seconds(6))
    #expect(policy.pause(at: start + .seconds(6)) == .milliseconds(500))
  }

  @Test func extremeNumbersDoNotTrap() {
    var policy = ResourcePolicy(limits: JailLimits(memoryMiB: .max, cpu: 0, threads: .max), start: start)
    for second in 0...61 {
      _ = policy.judge(
        ResourceSample(residentBytes: .max, cpu: .seconds(second * 1_000_000), threads: .max),
        at: start + .seconds(second)
      )
      #expect(policy.pause(at: start + .seconds(second)) <= .milliseconds(500))
    }
    var tiny = ResourcePolicy(limits: JailLimits(memoryMiB: 0, cpu: 0, threads: 0), start: start)
    _ = tiny.judge(ResourceSample(residentBytes: .min), at: start)
    _ = tiny.judge(ResourceSample(residentBytes: .max), at: start)
    #expect(tiny.pause(at: start) >= .milliseconds(20))
    #expect("\(ResourceKill.cpu(used: .greatestFiniteMagnitude, limit: -1, window: .zero))".contains("of 0.00"))
  }
}
