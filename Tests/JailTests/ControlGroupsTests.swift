import Foundation
import Testing

@testable import Jail

/// Against a folder that looks like the kernel's; the kernel itself offers groups to few.
@Suite struct ControlGroupsTests {
  private let fixture: JailFixture

  init() throws {
    fixture = try JailFixture()
  }

  private func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(fixture.folder)/\(name)"))
  }

  private func read(_ name: String) -> String { SmallFile.read("\(fixture.folder)/\(name)") ?? "" }

  @Test func aGroupWithoutControllersIsNotUsed() throws {
    try write("cpu io\n", to: "cgroup.controllers")
    guard case .failure(let missing) = ControlGroups.divide(fixture.folder) else {
      Issue.record("it was divided")
      return
    }
    #expect(missing.reason == "no control group with memory, pids is delegated to this host")
    #expect(!FileManager.default.fileExists(atPath: "\(fixture.folder)/host"))
  }

  @Test func aDelegatedGroupIsDividedAndItsProcessesMoveDown() throws {
    try write("cpuset cpu io memory pids\n", to: "cgroup.controllers")
    try write("41\n42\n", to: "cgroup.procs")
    try write("", to: "cgroup.subtree_control")
    try FileManager.default.createDirectory(atPath: "\(fixture.folder)/host", withIntermediateDirectories: false)
    try write("", to: "host/cgroup.procs")
    guard case .success(let groups) = ControlGroups.divide(fixture.folder) else {
      Issue.record("it was not divided")
      return
    }
    #expect(groups.path == fixture.folder)
    #expect(read("cgroup.subtree_control") == "+cpu +memory +pids")
    #expect(read("host/cgroup.procs") == "42")
  }

  @Test func limitsBecomeSettings() {
    let settings = ControlGroups.settings(JailLimits(memoryMiB: 64, cpu: 0.5, threads: 8))
    let texts = Dictionary(uniqueKeysWithValues: settings.map { ($0.file, $0.text) })
    #expect(texts["memory.max"] == "67108864")
    #expect(texts["memory.oom.group"] == "1")
    #expect(texts["pids.max"] == "10")
    #expect(texts["cpu.max"] == "50000 100000")
    _ = ControlGroups.settings(JailLimits(memoryMiB: .min, cpu: .infinity, threads: 0))
  }

  @Test func killsAreCounted() throws {
    try write("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n", to: "memory.events")
    #expect(ControlGroups.memoryKills(in: fixture.folder) == 2)
    #expect(ControlGroups.memoryKills(in: "/nonexistent") == 0)
  }
}
