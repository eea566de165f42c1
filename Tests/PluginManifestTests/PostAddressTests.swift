import Testing

@testable import PluginManifest

/// Addresses of posts, as people copy them.
@Suite struct PostAddressTests {
  private func read(
    _ address: String,
    _ form: String,
    handle: String? = "ann",
    origin: String? = nil
  ) throws -> PostAddress.Reading {
    try #require(PostAddress(form)).read(address, handle: handle, account: "1001", origin: origin)
  }

  @Test(
    arguments: [
      ("https://example.com/ann/posts/12", .post("12")), ("HTTP://WWW.Example.com/Ann/posts/12/", .post("12")),
      ("https://example.com/ann/posts/12?s=20#a", .post("12")), ("https://example.com/bob/posts/12", .otherAccount),
      ("https://example.com/ann/posts/1x", .other), ("https://example.com/ann/posts/", .other),
      ("https://example.com/ann/posts/12/photo/1", .other), ("https://example.com.evil.org/ann/posts/12", .other),
      ("https://evil.org/example.com/ann/posts/12", .other), ("example.com/ann/posts/12", .other), ("", .other),
      ("https://", .other), ("https://example.com/ann/notes/12", .other),
    ] as [(String, PostAddress.Reading)]
  )
  func readsTheId(_ address: String, _ reading: PostAddress.Reading) throws {
    #expect(try read(address, "https://www.example.com/{handle}/posts/{id:digits}") == reading)
  }

  @Test func anAccountWithoutAHandleFitsAny() throws {
    #expect(try read("https://example.com/bob/12", "https://example.com/{handle}/{id}", handle: nil) == .post("12"))
    #expect(
      try read("https://example.com/@ANN/12", "https://example.com/@{handle}/{id}", handle: "@ann") == .post("12")
    )
  }

  @Test func aServerOfTheAccountsOwnIsTheAccounts() throws {
    let form = "{origin}/@{handle}/{id:digits}"
    #expect(try read("https://social.example:8443/@ann/7", form, origin: "https://social.example:8443") == .post("7"))
    #expect(try read("https://social.example/@ann/7", form, origin: "https://other.example") == .other)
    #expect(try read("https://social.example/@ann/7", form) == .other)
  }

  @Test func theAccountsIdCounts() throws {
    let form = "https://example.com/{account}/posts/{id}"
    #expect(try read("https://example.com/1001/posts/a:b", form) == .post("a:b"))
    #expect(try read("https://example.com/1002/posts/a:b", form) == .otherAccount)
    #expect(try read("https://example.com/1001/posts/%2e", form) == .other)
  }

  /// What people copy from each bundled platform gives the id, and nothing else does.
  @Test(
    arguments: [
      ("x", "https://x.com/Ann/status/12", .post("12")), ("x", "https://x.com/i/web/status/12?s=20", .post("12")),
      ("x", "https://twitter.com/ann/status/12", .post("12")), ("x", "https://mobile.x.com/ann/status/12", .post("12")),
      ("x", "https://x.com/bob/status/12", .otherAccount), ("x", "https://x.com/ann", .other),
      ("x", "https://t.co/abc", .other), ("webhook", "https://x.com/ann/status/12", .other),
    ] as [(String, String, PostAddress.Reading)]
  )
  func bundledManifestsReadTheirPlatformsAddresses(
    _ id: String,
    _ address: String,
    _ reading: PostAddress.Reading
  ) throws {
    let manifests = try ManifestStore.load(PluginManifestTests.bundled).manifests
    let manifest = try #require(manifests.first { $0.id == id })
    #expect(manifest.readPostAddress(address, handle: "ann", account: "1001", origin: nil) == reading)
  }

  @Test(
    arguments: [
      "http://example.com/{id}", "https://example.com", "https://example.com/posts", "https://example.com/{id}/{id}",
      "https://example.com/{id}x", "https://example.com/{name}/{id}", "https://example.com/{id", "https://{id}/a",
      "https://example.com//{id}", "https://user@example.com/{id}", "https://example.com/a?b={id}", "{origin}{id}", "",
    ]
  )
  func refusesOtherForms(_ form: String) {
    #expect(PostAddress(form) == nil)
  }
}
