internal import Cryptography
internal import JSONDocument
internal import JSONText
package import PluginManifest

/// The manifest of a bundle after its signature was checked.
package struct SignedManifest: Sendable, Equatable {
  /// The bytes that are signed.
  package let bytes: [UInt8]
  /// The text of `manifest.sig`.
  package let signature: [UInt8]
  /// `sha256:` and the digest of `bytes`: the name of the bundle.
  package let digest: String
  /// Id of the key that signed.
  package let publisher: String
  package let manifest: PluginManifest
  /// What the plugin may do once it is installed.
  package let grants: Grants
  /// `sha256:` and a digest that is the same whoever signs.
  package let content: String

  /// Checks the bytes against the signature, and only then reads them, once.
  package init(bytes: [UInt8], signature: [UInt8]) throws(StoreError) {
    guard bytes.count <= PluginManifest.maximumBytes else {
      throw Archive.bad("has a manifest of \(bytes.count) bytes; at most \(PluginManifest.maximumBytes) are allowed")
    }
    let (publisher, code) = try Self.parts(of: signature)
    guard let key = PublisherKey.publicKey(of: publisher) else {
      throw StoreError(.signature, "The signature names no key of the form key:ed25519:…")
    }
    guard Ed25519.isValid(code, for: bytes, publicKey: key) else {
      throw StoreError(
        .signature,
        "The signature of \(publisher) does not fit the manifest: the bundle was changed after it was signed. Get it "
          + "again from its author"
      )
    }
    let document = try Self.document(bytes)
    let manifest = try Self.manifest(document)
    guard manifest.publisher == publisher else {
      throw StoreError(
        .signature,
        "The manifest names \(manifest.publisher ?? "no publisher"), but \(publisher) signed it; sign it again with "
          + "`rostrum plugin sign`"
      )
    }
    guard !manifest.artifacts.isEmpty else {
      throw StoreError(.manifest, "The manifest lists no artifacts; make the bundle with `rostrum plugin pack`")
    }
    self.bytes = bytes
    self.signature = signature
    self.publisher = publisher
    self.manifest = manifest
    digest = "sha256:" + Hex.encode(SHA256.digest(bytes))
    content = try Self.content(document)
    grants = Grants(document)
  }

  /// The program for a machine; nil when there is none.
  package func artifact(for machine: Machine = .current) -> Artifact? {
    manifest.artifacts.first { $0.os == machine.os && ($0.arch == machine.arch || $0.arch == "any") }
  }

  /// All files of the bundle with their digests, by path.
  var files: [String: String] {
    manifest.artifacts.reduce(into: [:]) { files, artifact in files.merge(artifact.files) { $1 } }
  }

  // MARK: Forms

  /// `manifest.sig`: the id of the key and the signature in base64url, each on a line.
  static func signature(of bytes: [UInt8], by key: PublisherKey) throws(StoreError) -> [UInt8] {
    Array("\(key.id)\n\(Base64.encodeURL(try key.sign(bytes)))\n".utf8)
  }

  private static func parts(of signature: [UInt8]) throws(StoreError) -> (publisher: String, code: [UInt8]) {
    let lines = String(decoding: signature.prefix(512), as: UTF8.self).split(
      separator: "\n",
      omittingEmptySubsequences: false
    )
    guard signature.count <= 512, lines.count == 3, lines[2].isEmpty, let code = Base64.decodeURL(String(lines[1])),
      code.count == Ed25519.signatureByteCount
    else { throw StoreError(.signature, "The file \(Archive.signatureName) of the bundle is no signature") }
    return (String(lines[0]), code)
  }

  static func document(_ bytes: [UInt8]) throws(StoreError) -> JSONValue {
    do throws(JSONError) {
      return try JSONValue.parse(bytes, maximumDepth: 16, maximumBytes: PluginManifest.maximumBytes)
    } catch {
      throw StoreError(.manifest, "The manifest is no usable JSON: \(error)")
    }
  }

  static func manifest(_ document: JSONValue) throws(StoreError) -> PluginManifest {
    do throws(ManifestError) {
      return try PluginManifest.parse(document)
    } catch {
      throw StoreError(.manifest, "The manifest can not be used: \(error)")
    }
  }

  /// The one text of a document.
  static func canonical(_ document: JSONValue) throws(StoreError) -> [UInt8] {
    do throws(JSONTextError) {
      return Array(try RawJSON(text: document.text()).canonical().bytes)
    } catch {
      throw StoreError(.manifest, "The manifest can not be written: \(error)")
    }
  }

  static func content(_ document: JSONValue) throws(StoreError) -> String {
    var members = document.objectValue ?? [:]
    members["publisher"] = nil
    return "sha256:" + Hex.encode(SHA256.digest(try canonical(.object(members))))
  }
}

/// A kind of machine that programs are made for.
package struct Machine: Sendable, Equatable, CustomStringConvertible {
  package let os: String
  package let arch: String

  package init(os: String, arch: String) {
    self.os = os
    self.arch = arch
  }

  /// The machine this process runs on.
  package static var current: Machine {
    #if arch(arm64)
    Machine(os: "linux", arch: "aarch64")
    #else
    Machine(os: "linux", arch: "x86_64")
    #endif
  }

  package var description: String { "\(os)-\(arch)" }
}
