import Glibc
import JSONText
import PluginTransport
import Synchronization
import Testing

@Suite struct PipeWriterTests {
  /// Makes a pipe; the caller closes both ends.
  private static func makePipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    let status = unsafe ends.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress) }
    try #require(status == 0)
    return (ends[0], ends[1])
  }

  @Test func framesOfManyWritersStayWhole() async throws {
    let (input, output) = try Self.makePipe()
    let writer = PipeWriter(descriptor: output)
    // Far more than a pipe holds, so the thread that waits for the reader is needed too.
    let writers = 8
    let each = 400
    let received = Task.detached {
      var reader = FrameReader()
      var lengths: [Int: Int] = [:]
      let end = PipeReader.run(descriptor: input, reader: &reader) { event in
        guard case .frame(let frame) = event, let n = try? frame.object().int64("n") else { return false }
        lengths[Int(n), default: 0] += 1
        return true
      }
      return (lengths, end)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for n in 0..<writers {
        group.addTask {
          let pad = String(repeating: "x", count: 200 + n * 37)
          for _ in 0..<each { try writer.send(Array("{\"n\":\(n),\"pad\":\"\(pad)\"}\n".utf8)) }
        }
      }
      try await group.waitForAll()
    }
    // An own last frame tells that all others were written, so that the end can be closed.
    try writer.send(Array("stop\n".utf8))
    let (lengths, end) = await received.value
    close(input)
    close(output)
    #expect(end == .stopped)
    #expect(lengths == Dictionary(uniqueKeysWithValues: (0..<writers).map { ($0, each) }))
  }

  @Test func refusesMoreThanTheBoundAndAClosedPipe() throws {
    signal(SIGPIPE, SIG_IGN)
    let (input, output) = try Self.makePipe()
    let writer = PipeWriter(descriptor: output, maximumPendingBytes: 100_000)
    let frame = [UInt8](repeating: 0x78, count: 60_000)
    #expect(throws: FrameSinkError.full) {
      for _ in 0..<20 { try writer.send(frame) }
    }
    close(input)
    // The thread that waits sees the closed end and gives up; until then frames are refused as too many.
    while true {
      do throws(FrameSinkError) { try writer.send([0x0A]) } catch {
        if error == .closed { break }
      }
    }
    close(output)
  }

  @Test func reportsTheEndOfTheStream() throws {
    let (input, output) = try Self.makePipe()
    let bytes = Array("{}\n{\"a\":".utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(output, $0.baseAddress, $0.count) }
    close(output)
    var reader = FrameReader()
    var count = 0
    let end = PipeReader.run(descriptor: input, reader: &reader) { _ in
      count += 1
      return true
    }
    close(input)
    #expect(end == .endOfFile(partial: true))
    #expect(count == 1)
  }
}
