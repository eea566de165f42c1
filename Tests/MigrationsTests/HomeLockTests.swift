import Glibc
import Migrations
import Testing

struct HomeLockTests {
  @Test func secondHolderIsRefusedWithTheFirstOnesNumber() throws {
    let folder = try TemporaryFolder()
    let lock = try HomeLock(home: folder.path + "/home")
    let error = #expect(throws: ClusterError.self) { try HomeLock(home: folder.path + "/home") }
    #expect(error?.code == .homeInUse)
    #expect(error?.description.contains("process \(getpid())") == true)
    lock.release()
    let again = try HomeLock(home: folder.path + "/home")
    #expect(again.home == folder.path + "/home")
  }

  @Test func makesTheHomePrivate() throws {
    let folder = try TemporaryFolder()
    let lock = try HomeLock(home: folder.path + "/a/b")
    var status = stat()
    #expect(unsafe stat(lock.home, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o700)
  }

  @Test func refusesAFileInPlaceOfTheHome() throws {
    let folder = try TemporaryFolder()
    try folder.write("", to: "home")
    let error = #expect(throws: ClusterError.self) { try HomeLock(home: folder.path + "/home") }
    #expect(error?.code == .folder)
  }
}
