import FoundationEssentials
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

  /// What a child that is being started has of its parent: a copy of the lock's descriptor.
  private func copy(ofLockIn home: String) throws -> Int32 {
    var lock = stat()
    try #require(unsafe stat(home + "/lock", &lock) == 0)
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      var status = stat()
      guard let number = Int32(name), unsafe fstat(number, &status) == 0, status.st_ino == lock.st_ino,
        status.st_dev == lock.st_dev
      else { continue }
      return fcntl(number, F_DUPFD_CLOEXEC, 0)
    }
    throw Missing()
  }

  private struct Missing: Error {}

  @Test func aCopyInAChildDoesNotKeepTheLock() throws {
    let folder = try TemporaryFolder()
    let home = folder.path + "/home"
    let released = try HomeLock(home: home)
    let first = try copy(ofLockIn: home)
    defer { close(first) }
    released.release()
    var dropped: HomeLock? = try HomeLock(home: home)
    let second = try copy(ofLockIn: home)
    defer { close(second) }
    #expect(dropped?.home == home)
    dropped = nil
    #expect(try HomeLock(home: home).home == home)
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
