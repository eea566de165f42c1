import Cryptography
import FoundationEssentials
import Testing

@testable import MediaStore

@Suite struct MediaFilesTests {
  private func withFiles(_ body: (MediaFiles) async throws -> Void) async throws {
    let root = FileManager.default.temporaryDirectory.path + "/media-\(UUID().uuidString)"
    let result: Result<Void, any Error>
    do {
      try await body(MediaFiles(root: root))
      result = .success(())
    } catch {
      result = .failure(error)
    }
    try FileManager.default.removeItem(atPath: root)
    try result.get()
  }

  private func incoming(_ files: MediaFiles) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: files.root + "/incoming")
  }

  @Test func aFileIsNamedByItsContent() async throws {
    try await withFiles { files in
      let content = MediaFormatTests.png + [UInt8](repeating: 7, count: 10_000)
      for chunk in [1, 4096, 100_000] {
        let upload = try files.upload(maximumBytes: 1 << 20)
        for start in stride(from: 0, to: content.count, by: chunk) {
          try await upload.append(Array(content[start..<min(start + chunk, content.count)]))
        }
        let (digest, bytes, format) = try await upload.finish()
        #expect(digest == SHA256.digest(content))
        #expect(format.type == "image/png")
        #expect(bytes == Int64(content.count))
        let path = files.path(sha256: Hex.encode(digest))
        #expect(FileManager.default.contents(atPath: path).map(Array.init) == content)
      }
      #expect(try incoming(files).isEmpty)
    }
  }

  @Test func whatIsRefusedLeavesNothing() async throws {
    try await withFiles { files in
      do {
        await #expect(throws: MediaError.empty) { try await files.upload(maximumBytes: 10).finish() }
        let text = try files.upload(maximumBytes: 100)
        try await text.append(Array("just some text, no picture".utf8))
        await #expect(throws: MediaError.unknownFormat) { try await text.finish() }
        let large = try files.upload(maximumBytes: 10)
        try await large.append([UInt8](repeating: 0, count: 10))
        await #expect(throws: MediaError.tooLarge(allowed: 10)) { try await large.append([0]) }
      }
      #expect(try incoming(files).isEmpty)
    }
  }

  @Test func piecesOfAFile() async throws {
    try await withFiles { files in
      let upload = try files.upload(maximumBytes: 1 << 20)
      try await upload.append(MediaFormatTests.gif)
      let path = files.path(sha256: Hex.encode(try await upload.finish().sha256))
      #expect(await DiskReader.read(path: path, offset: 0, count: 3) == Array("GIF".utf8))
      #expect(await DiskReader.read(path: path, offset: 8, count: 100) == [2, 0])
      #expect(await DiskReader.read(path: path, offset: 1000, count: 10) == [])
      #expect(await DiskReader.read(path: path + "x", offset: 0, count: 1) == nil)
    }
  }

  @Test func onlyOldLeftoversAreRemoved() async throws {
    try await withFiles { files in
      let (old, new) = (files.root + "/incoming/old", files.root + "/incoming/new")
      for path in [old, new] { try Data([1]).write(to: URL(filePath: path)) }
      let date = Date().addingTimeInterval(-7200)
      try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: old)
      try files.removeLeftovers()
      #expect(try incoming(files) == ["new"])
    }
  }
}
