import Migrations
import Processes
import Testing

struct PostgresBinariesTests {
  @Test(arguments: [
    ("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", 15), ("postgres (PostgreSQL) 18beta1", 18),
    ("postgres (PostgreSQL)", nil), ("psql 15", nil), ("", nil),
  ])
  func readsVersions(text: String, version: Int?) {
    #expect(PostgresBinaries.majorVersion(in: text) == version)
  }

  @Test func findsAnInstalledVersion() async throws {
    let binaries = try await PostgresBinaries.find(in: nil, spawner: Spawner())
    #expect(binaries.majorVersion >= 15)
    let same = try await PostgresBinaries.find(in: binaries.directory, spawner: Spawner())
    #expect(same == binaries)
  }

  @Test func refusesAFolderWithoutThem() async throws {
    let error = await #expect(throws: ClusterError.self) {
      try await PostgresBinaries.find(in: "/nonexistent", spawner: Spawner())
    }
    #expect(error?.code == .noBinaries)
  }

  @Test func refusesAVersionThatIsNotInstalled() async throws {
    let error = await #expect(throws: ClusterError.self) {
      try await PostgresBinaries.find(in: nil, version: 99, spawner: Spawner())
    }
    #expect(error?.description.contains("PostgreSQL 99") == true)
  }
}
