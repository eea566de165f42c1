import FoundationEssentials
import JSONDocument
import PluginManifest
import PluginStore
import Processes
import Testing

@Suite struct SignatureTests {
  /// A bundle with another manifest and signature.
  private static func bundle(
    _ workshop: Workshop,
    _ change: (_ manifest: inout [UInt8], _ signature: inout [UInt8]) throws -> Void
  ) throws -> String {
    var files = RawArchive.files(try Workshop.bytes(try workshop.bundle()))
    var (manifest, signature) = (files[0].content, files[1].content)
    try change(&manifest, &signature)
    (files[0].content, files[1].content) = (manifest, signature)
    var archive = RawArchive()
    for file in files { archive.add(file.path, file.content) }
    archive.end()
    let path = workshop.root + "/\(UUID().uuidString).rostrum-plugin"
    try workshop.write(archive.bytes, to: path)
    return path
  }

  @Test func aBundleSaysWhoSignedIt() async throws {
    try await Workshop.run { workshop in
      let manifest = try Bundle.verify(try workshop.bundle())
      #expect(manifest.publisher == workshop.key.id)
      #expect(manifest.manifest.publisher == workshop.key.id)
      #expect(manifest.digest.hasPrefix("sha256:"))
      #expect(workshop.key.id.hasPrefix("key:ed25519:"))
    }
  }

  @Test func aSignatureOfAnotherManifestIsRefused() async throws {
    try await Workshop.run { workshop in
      let other = RawArchive.files(try Workshop.bytes(try workshop.bundle { $0.version = "2.0.0" }))
      let path = try Self.bundle(workshop) { _, signature in signature = other[1].content }
      #expect(refusal { _ = try Bundle.verify(path) }?.code == .signature)
    }
  }

  @Test func aSignatureThatNamesAnotherKeyIsRefused() async throws {
    try await Workshop.run { workshop in
      let other = try PublisherKey.make()
      let path = try Self.bundle(workshop) { _, signature in
        let lines = String(decoding: signature, as: UTF8.self).split(separator: "\n")
        signature = Array("\(other.id)\n\(lines[1])\n".utf8)
      }
      #expect(refusal { _ = try Bundle.verify(path) }?.code == .signature)
    }
  }

  /// The signature is checked before anything reads the manifest.
  @Test func bytesThatAreNoJSONAreRefusedForTheirSignature() async throws {
    try await Workshop.run { workshop in
      let path = try Self.bundle(workshop) { manifest, _ in manifest = Array("{not json".utf8) }
      #expect(refusal { _ = try Bundle.verify(path) }?.code == .signature)
    }
  }

  @Test func aManifestThatNamesAnotherPublisherIsRefused() async throws {
    try await Workshop.run { workshop in
      // Signed correctly by one key, while the manifest claims to be another's.
      let mine = try workshop.bundle()
      let other = try PublisherKey.make()
      let output = workshop.root + "/signed.rostrum-plugin"
      try Bundle.sign(mine, with: other, to: output)
      let signed = RawArchive.files(try Workshop.bytes(output))
      let path = try Self.bundle(workshop) { _, signature in signature = signed[1].content }
      #expect(refusal { _ = try Bundle.verify(path) }?.code == .signature)
    }
  }

  @Test func signingAnewChangesThePublisherAlone() async throws {
    try await Workshop.run { workshop in
      let path = try workshop.bundle()
      let before = try Bundle.verify(path)
      let other = try PublisherKey.make()
      try Bundle.sign(path, with: other, to: path)
      let after = try Bundle.verify(path)
      #expect(after.publisher == other.id)
      #expect(after.digest != before.digest)
      #expect(after.content == before.content)
      #expect(after.manifest.artifacts == before.manifest.artifacts)
    }
  }

  @Test func anUnsignedBundleIsRefusedUntilItIsSigned() async throws {
    try await Workshop.run { workshop in
      let path = workshop.root + "/unsigned.rostrum-plugin"
      try BundleSource(try workshop.folder()).pack(to: path, key: nil)
      #expect(refusal { _ = try Bundle.verify(path) }?.code == .signature)
      try Bundle.sign(path, with: workshop.key, to: path)
      let manifest = try Bundle.verify(path)
      #expect(manifest.publisher == workshop.key.id)
    }
  }

  // MARK: Keys

  @Test func aKeyFileIsForItsOwnerAlone() async throws {
    try await Workshop.run { workshop in
      let path = workshop.root + "/publisher.key"
      let made = try PublisherKey.readOrMake(path)
      let again = try PublisherKey.readOrMake(path)
      #expect(made.id == again.id)
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
      #expect(refusal { _ = try PublisherKey.read(path) }?.message.contains("chmod 600") == true)
      let missing = try PublisherKey.read(path + ".missing")
      #expect(missing == nil)
    }
  }

  @Test func aKeyOfOpenSSLIsTaken() async throws {
    try await Workshop.run { workshop in
      let path = workshop.root + "/openssl.key"
      let made = try await Spawner().output(
        of: SpawnRequest(
          executable: "/usr/bin/openssl",
          arguments: ["genpkey", "-algorithm", "ed25519", "-out", path]
        )
      )
      try #require(made.status.isSuccess)
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
      let key = try #require(try PublisherKey.read(path))
      let manifest = try Bundle.verify(try workshop.bundle(key: key))
      #expect(manifest.publisher == key.id)
    }
  }

  @Test func whatIsNoKeyIsRefused() async throws {
    try await Workshop.run { workshop in
      let path = workshop.root + "/bad.key"
      for text in ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        try workshop.write(text, to: path)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(refusal { _ = try PublisherKey.read(path) }?.code == .key)
      }
    }
  }
}
