import Glibc
import JSONText
import Processes
import Synchronization
import Testing

@testable import PluginHost

@Suite(.timeLimit(.minutes(1))) struct OutboxTests {
  private let read: OwnedDescriptor
  private let outbox: Outbox
  private let blocks: Counter

  private final class Counter: Sendable {
    let value = Atomic(0)
  }

  init() throws {
    let ends = try OwnedDescriptor.makePipe()
    ends.write.makeNonBlocking()
    let blocks = Counter()
    read = ends.read
    self.blocks = blocks
    outbox = Outbox(pipe: ends.write) { blocks.value.add(1, ordering: .relaxed) }
  }

  private func readSome() -> [UInt8] {
    guard let descriptor = read.rawValue else { return [] }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
    return Array(buffer.prefix(max(0, count)))
  }

  @Test func keepsTheOrderWhenThePipeIsFull() {
    var expected: [UInt8] = []
    for number in 0..<40 {
      let frame = [UInt8](repeating: UInt8(number), count: 10_000)
      expected += frame
      #expect(outbox.append(frame) == .taken)
    }
    #expect(blocks.value.load(ordering: .relaxed) == 1)
    #expect(outbox.blockedDescriptor != nil)
    #expect(outbox.blockedSince != nil)
    var received: [UInt8] = []
    while received.count < expected.count {
      received += readSome()
      outbox.flush()
    }
    #expect(received == expected)
    #expect(outbox.blockedDescriptor == nil)
    #expect(outbox.blockedSince == nil)
  }

  @Test func takesNoMoreThanItsCapacity() {
    let frame = [UInt8](repeating: 1, count: 1 << 20)
    var answers: [Outbox.Answer] = []
    for _ in 0..<12 { answers.append(outbox.append(frame)) }
    #expect(answers.last == .full)
    #expect(answers.count { $0 == .taken } == 8)
  }

  @Test func aReaderThatIsGoneClosesIt() {
    _ = signal(SIGPIPE, SIG_IGN)
    read.close()
    // Another test's child holds a copy of the read end until it executes its program, so more than one may be taken.
    while outbox.append([1]) == .taken {}
    #expect(outbox.append([1]) == .closed)
  }

  @Test func closesOnceNothingIsWritten() {
    outbox.close()
    #expect(outbox.append([1]) == .closed)
    #expect(readSome().isEmpty)
  }
}

@Suite struct MailboxTests {
  @Test func keepsTheOrderAndRepeatsTheLast() async {
    let mailbox = Mailbox()
    let request = PluginMessage.request(PluginRequest(id: 1, method: "host/http", params: .emptyObject))
    mailbox.deliver(request)
    mailbox.deliver(.result(.null))
    mailbox.deliver(.failed(.cancelled))
    #expect(await mailbox.wait() == request)
    #expect(await mailbox.wait() == .result(.null))
    #expect(mailbox.take() == .result(.null))
  }

  @Test func wakesTheOneWhoWaits() async {
    let mailbox = Mailbox()
    async let message = mailbox.wait()
    mailbox.deliver(.result(.emptyObject))
    #expect(await message == .result(.emptyObject))
  }
}

@Suite struct CallFrameTests {
  @Test(arguments: [#"{}"#, #"{ }"#, #"{"a":1}"#, #"{"a":{"b":[]} }"#])
  func addsTheMetaToAnyObject(params: String) throws {
    let original = try RawJSON(text: params)
    let frame = CallFrame.make(
      number: 7,
      method: "post/publish",
      params: original,
      deadlineMilliseconds: 1_500,
      attempt: 2
    )
    #expect(frame.last == UInt8(ascii: "\n"))
    let object = try RawJSON(frame).object()
    #expect(try object.int64("id") == 7)
    #expect(try object.string("method") == "post/publish")
    let merged = try object.object("params")
    #expect(merged.count == (try original.object().count) + 1)
    #expect(try merged.object("_meta").string("call") == "c7")
    #expect(try merged.object("_meta").int64("deadlineMs") == 1_500)
    #expect(try merged.object("_meta").int64("attempt") == 2)
  }

  @Test(arguments: [
    (Duration.milliseconds(1_500), Int64(1_500)), (.zero, 0), (.seconds(-5), 0), (.microseconds(999), 0),
    (.seconds(Int64.max), 3_155_760_000_000), (.seconds(Int64.min), 0),
  ])
  func clampsDurations(duration: Duration, milliseconds: Int64) {
    #expect(duration.wholeMilliseconds == milliseconds)
  }
}
