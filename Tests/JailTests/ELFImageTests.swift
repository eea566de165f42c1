import Glibc
import Testing

@testable import Jail

@Suite struct ELFImageTests {
  private func bytes(of path: String) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    return Array(bytes.prefix(count))
  }

  private func image(_ bytes: [UInt8]) throws(ELFImage.Problem) -> ELFImage {
    try ELFImage { offset, count throws(ELFImage.Problem) in
      guard let start = Int(exactly: offset), start <= bytes.count else { return [] }
      return Array(bytes[start...].prefix(count))
    }
  }

  @Test func readsADynamicProgram() throws {
    let image = try image(bytes(of: "/bin/sh"))
    #expect(image.isDynamic)
    #expect(image.loader?.hasPrefix("/lib") == true)
  }

  @Test func readsTheFoldersOfLibraries() throws {
    let descriptor = unsafe open("\(JailFixture.programs)/rostrum-jail", O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let image = try ELFImage(descriptor: descriptor)
    if image.isDynamic { #expect(image.libraryPaths.contains { $0.hasPrefix("/") || $0.hasPrefix("$ORIGIN") }) }
  }

  @Test func tellsScriptsAndNonsense() {
    #expect(throws: ELFImage.Problem.script) { try image(Array("#!/bin/sh\n".utf8)) }
    #expect(throws: ELFImage.Problem.notELF) { try image(Array("hello".utf8)) }
    #expect(throws: ELFImage.Problem.notELF) { try image([]) }
    #expect(throws: ELFImage.Problem.self) { try image([0x7F, 0x45, 0x4C, 0x46, 1, 1]) }
  }

  /// A damaged head leads to an error or to some result, never to a crash.
  @Test func damageNeverTraps() throws {
    let good = try bytes(of: "/bin/sh")
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5_000 {
      var bad = good
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bad[Int.random(in: 4..<900, using: &random)] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
      }
      if Bool.random() { bad = Array(bad.prefix(Int.random(in: 0..<2_000, using: &random))) }
      _ = Result { () throws(ELFImage.Problem) in try image(bad) }
    }
  }
}
