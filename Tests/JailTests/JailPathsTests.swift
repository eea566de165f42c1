import Testing

@testable import Jail

@Suite struct JailPathsTests {
  @Test(arguments: [
    ("/a/b", "/a/b"), ("/a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/..", "/"), ("/", "/"), ("a", nil), ("", nil),
    ("/a\0b", nil),
  ])
  func normalizes(path: String, expected: String?) {
    #expect(JailPaths.normalized(path) == expected)
  }

  @Test func parentsComeFirst() {
    var paths = JailPaths()
    paths.readable = ["/usr/lib/python3", "/usr/lib", "/usr/lib"]
    paths.executable = ["/lib64/loader"]
    #expect(paths.arguments == ["-x", "/lib64/loader", "-r", "/usr/lib", "-r", "/usr/lib/python3"])
  }

  @Test func aStaticProgramGetsNothing() throws {
    var paths = JailPaths()
    paths.add(ELFImage(loader: nil, libraryPaths: []), origin: "/p", resolve: { $0 }, exists: { _ in true })
    #expect(paths == JailPaths())
  }

  @Test func aDynamicProgramGetsItsLoaderAndLibraries() {
    var paths = JailPaths()
    let image = ELFImage(
      loader: "/lib64/ld.so",
      libraryPaths: ["/opt/lib", "$ORIGIN", "${ORIGIN}/../more", "/gone", "/proc/x"]
    )
    paths.add(image, origin: "/p/bin", resolve: { _ in "/usr/lib/real/ld.so" }, exists: { $0 != "/gone" })
    #expect(paths.executable == ["/lib64/ld.so"])
    #expect(paths.readable.contains("/usr/lib/real"))
    #expect(paths.readable.contains("/opt/lib"))
    #expect(paths.readable.contains("/p/bin"))
    #expect(paths.readable.contains("/p/more"))
    #expect(!paths.readable.contains("/gone"))
    #expect(!paths.readable.contains("/proc/x"))
  }

  @Test func eachPluginHasAUserOfItsOwn() {
    let users = PluginUsers(range: 100..<108)
    let names = (0..<8).map { "plugin-\($0)" }
    let found = names.map { users.user(of: $0) }
    #expect(Set(found).count == 8)
    #expect(found.allSatisfy { (100..<108).contains($0) })
    #expect(names.map { users.user(of: $0) } == found)
    // More plugins than numbers share them.
    #expect((100..<108).contains(users.user(of: "one more")))
  }

  @Test func usersAreTakenFromWhatTheContainerHas() {
    #expect(PluginUsers.range(map: "         0          0 4294967295\n") == 2_000_000_000..<2_000_065_536)
    #expect(PluginUsers.range(map: "0 100000 65536\n") == 61_184..<65_520)
    #expect(PluginUsers.range(map: "0 1000 1\n") == nil)
    #expect(PluginUsers.range(map: "99999999999999999999 1 1\n4294967295 0 4294967295\n\n") == nil)
  }
}
