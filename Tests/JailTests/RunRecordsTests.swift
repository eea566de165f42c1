import Foundation
import Glibc
import Processes
import Testing

@testable import Jail

@Suite(.timeLimit(.minutes(1))) struct RunRecordsTests {
  private let fixture: JailFixture
  private let records: RunRecords
  private let folder: String

  init() throws {
    fixture = try JailFixture()
    folder = "\(fixture.folder)/run"
    records = RunRecords(directory: folder, logger: fixture.logger)
    records.killLeftovers()
  }

  @Test func whatAnEarlierHostLeftBehindIsKilled() async throws {
    let child = try await fixture.spawner.spawn(SpawnRequest(executable: "/bin/sleep", arguments: ["600"]))
    records.note(child.pid)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["\(child.pid)"])
    RunRecords(directory: folder, logger: fixture.logger).killLeftovers()
    #expect(await child.exit() == .signaled(SIGKILL))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }

  @Test func anotherProcessWithTheSameNumberIsSpared() async throws {
    let child = try await fixture.spawner.spawn(SpawnRequest(executable: "/bin/cat", standardInput: .pipe))
    for text in ["1 another-life\n", "", "nonsense"] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(child.pid)"))
      records.killLeftovers()
    }
    try Data("1".utf8).write(to: URL(fileURLWithPath: "\(folder)/1"))
    try Data("1".utf8).write(to: URL(fileURLWithPath: "\(folder)/-1"))
    records.killLeftovers()
    child.standardInput?.close()
    #expect(await child.exit() == .exited(0))
  }

  @Test func aNoteGoesWithItsProcess() async throws {
    records.note(getpid())
    records.forget(getpid())
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
  }
}
