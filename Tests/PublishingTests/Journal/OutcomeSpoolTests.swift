import Egress
import FoundationEssentials
import Glibc
import PluginManifest
import Postgres
import Testing

@testable import Publishing

@Suite struct OutcomeSpoolTests {
  private struct Refused: Error {}

  private func effect(_ step: String, answer: String? = nil) -> FinishEffect {
    FinishEffect(
      delivery: 7,
      record: EffectRecord(
        key: EffectKey(run: 2, step: step, attempt: 3),
        rule: "post",
        effectClass: .commit,
        digest: "d1:a",
        outcome: .accepted,
        status: 201,
        answer: answer,
        remoteID: "9",
        remoteURL: "https://a.example/9",
        claim: 2,
        startedAt: Date(timeIntervalSince1970: 1_700_000_000.25),
        sentAt: Date(timeIntervalSince1970: 1_700_000_001.5),
        lastByteAt: nil,
        platformDate: Date(timeIntervalSince1970: 1_700_000_002)
      ),
      nonce: UUID()
    )
  }

  /// Drains and answers the steps that came.
  private func drained(_ spool: OutcomeSpool) async throws -> [String] {
    var steps: [String] = []
    let count = try await spool.drain { steps.append($0.record.key.step) }
    #expect(count == steps.count)
    return steps
  }

  private func withSpool(_ body: (OutcomeSpool, String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.path + "/spool-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let path = folder + "/spool"
    let result: Result<Void, any Error>
    do {
      try await body(OutcomeSpool(path: path), path)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
  }

  @Test func capturesAreKeptSealed() async throws {
    try await withSpool { spool, _ in
      var effect = effect("a")
      effect.captures = [
        CaptureRow(step: "a", name: "page:1", kind: "secret", sealed: [0, 1, 255], keyID: 4),
        CaptureRow(step: "a", name: "upload", kind: "url", sealed: [], keyID: 4),
      ]
      try await spool.append(effect)
      var drained: [FinishEffect] = []
      _ = try await spool.drain { drained.append($0) }
      #expect(drained.map(\.captures) == [effect.captures])
    }
  }

  @Test func whatGoesInComesOutAsItWas() async throws {
    try await withSpool { spool, path in
      let effects = [effect("a", answer: "{\"t\":\"é\\n\\u0000\"}"), effect("b")]
      for effect in effects { try await spool.append(effect) }
      var status = stat()
      #expect(unsafe stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
      var stored: [FinishEffect] = []
      let count = try await spool.drain { stored.append($0) }
      #expect(count == 2)
      #expect(stored.map(\.record) == effects.map(\.record))
      #expect(stored.map(\.nonce) == effects.map(\.nonce))
      #expect(stored.map(\.delivery) == [7, 7])
      #expect(try await drained(spool).isEmpty)
      #expect(unsafe stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
    }
  }

  @Test func withoutAFileThereIsNothing() async throws {
    try await withSpool { spool, _ in
      let steps = try await drained(spool)
      #expect(steps.isEmpty)
    }
  }

  @Test func whatCanNotBeStoredStaysAndKeepsNobodyBack() async throws {
    try await withSpool { spool, _ in
      for step in ["a", "bad", "c"] { try await spool.append(effect(step)) }
      var stored: [String] = []
      await #expect(throws: Refused.self) {
        try await spool.drain { effect in
          if effect.record.key.step == "bad" { throw Refused() }
          stored.append(effect.record.key.step)
        }
      }
      #expect(stored == ["a", "c"])
      #expect(try await drained(spool) == ["bad"])
    }
  }

  @Test func whileTheDatabaseIsAwayEverythingStays() async throws {
    try await withSpool { spool, _ in
      for step in ["a", "b"] { try await spool.append(effect(step)) }
      var tries = 0
      await #expect(throws: PostgresError.self) {
        try await spool.drain { _ in
          tries += 1
          throw PostgresError(.connectionLost, "gone")
        }
      }
      #expect(tries == 1)
      #expect(try await drained(spool) == ["a", "b"])
    }
  }

  @Test func whatComesWhileDrainingStaysForTheNextTime() async throws {
    try await withSpool { spool, _ in
      try await spool.append(effect("a"))
      let count = try await spool.drain { _ in try await spool.append(effect("late")) }
      #expect(count == 1)
      #expect(try await drained(spool) == ["late"])
    }
  }

  /// A power cut can end the file anywhere, also inside a character.
  @Test func everyCutKeepsTheWholeLines() async throws {
    try await withSpool { spool, path in
      try await spool.append(effect("a", answer: #"{"t":"é😀"}"#))
      let whole = try #require(FileManager.default.contents(atPath: path)).count
      try await spool.append(effect("b", answer: #"{"t":"é😀"}"#))
      let all = Array(try #require(FileManager.default.contents(atPath: path)))
      for length in whole..<all.count {
        try Data(all[..<length]).write(to: URL(filePath: path))
        // The next outcome must not be swallowed by the broken line.
        try await spool.append(effect("c"))
        let stored = try await drained(spool)
        #expect(stored.first == "a" && stored.last == "c", "cut at \(length): \(stored)")
      }
    }
  }
}
