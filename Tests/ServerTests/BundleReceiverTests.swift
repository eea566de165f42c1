import FoundationEssentials
import Glibc
import PluginStore
import Testing

@testable import HTTPClient
@testable import Server

@Suite struct BundleReceiverTests {
  private let folder: TemporaryFolder
  private let store: StoreFolder

  init() throws {
    folder = try TemporaryFolder()
    store = try StoreFolder(folder.path + "/plugins")
  }

  @Test func everythingThatComesLiesInTheFile() async throws {
    let file = try store.receive()
    let receiver = BundleReceiver(file: file)
    let (wishes, wish) = AsyncStream<TransferControl.Command>.makeStream()
    #expect(receiver.begin(status: 200, headers: ResponseHeaders(), control: TransferControl { wish.yield($0) }))
    var wanted: [UInt8] = []
    var resumed = wishes.makeAsyncIterator()
    for number in 0..<200 {
      let chunk = [UInt8](repeating: UInt8(number), count: 128 << 10)
      wanted += chunk
      // When the disk is behind, the same bytes are offered again once it has caught up.
      while case .later = receiver.take(chunk) { _ = await resumed.next() }
    }
    try await receiver.finish()
    #expect(!receiver.isTooLarge)
    #expect(try Data(contentsOf: URL(filePath: file.path)) == Data(wanted))
  }

  @Test func moreThanTheLimitIsNotWritten() async throws {
    let file = try store.receive()
    let receiver = BundleReceiver(file: file, limit: 10)
    _ = receiver.begin(status: 200, headers: ResponseHeaders(), control: TransferControl { _ in })
    guard case .taken = receiver.take([UInt8](repeating: 1, count: 10)), case .stop = receiver.take([2]) else {
      Issue.record("the limit is not kept")
      return
    }
    try await receiver.finish()
    #expect(receiver.isTooLarge)
    #expect(try Data(contentsOf: URL(filePath: file.path)).count == 10)
  }

  @Test func anAnswerThatIsNoBundleIsNotWritten() throws {
    let receiver = BundleReceiver(file: try store.receive())
    for status in [301, 404, 500, 206] {
      #expect(!receiver.begin(status: status, headers: ResponseHeaders(), control: TransferControl { _ in }))
    }
  }
}
