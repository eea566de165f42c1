package import Cryptography

/// On whose behalf a request goes out: one connection of one site, during one delivery or account call.
package struct EgressScope: Sendable, Equatable {
  package let site: Int64
  package let connection: Int64
  package let pluginID: String
  /// Key of the delivery's request: the same on every try of it, and different for every other delivery.
  ///
  /// Host-made idempotency keys derive from it, and requests with the same key are held against each other (the same
  /// step twice at once, one open commit). At most 64 characters of `A-Z a-z 0-9 - _`; an account call uses a new UUID.
  package let requestKey: String
  /// `scheme://host[:port]` that a person confirmed when the account was connected.
  package let accountOrigin: String?
  /// Whole address that a person entered when the account was connected.
  package let accountEndpoint: String?

  package init(
    site: Int64,
    connection: Int64,
    pluginID: String,
    requestKey: String,
    accountOrigin: String? = nil,
    accountEndpoint: String? = nil
  ) {
    self.site = site
    self.connection = connection
    self.pluginID = pluginID
    self.requestKey = requestKey
    self.accountOrigin = accountOrigin
    self.accountEndpoint = accountEndpoint
  }
}

/// Gives the secrets that the host puts into requests.
package protocol SecretSource: Sendable {
  /// Returns the secret that the manifest declares under `name`.
  ///
  /// Throws `EgressError` to choose what the plugin is told (an expired or revoked token); other errors are told to the
  /// plugin as an internal error without their text.
  func secret(_ name: String, for scope: EgressScope) async throws -> Secret

  /// Returns every secret of the account, to be taken out of answers, wherever the rule needs none of them.
  func all(for scope: EgressScope) async throws -> [Secret]
}

extension SecretSource {
  package func all(for scope: EgressScope) async throws -> [Secret] { [] }
}

/// Finds the files behind the media handles of one call.
package protocol MediaSource: Sendable {
  /// Returns the file of a handle such as `m-5`, or nil if this call was given no such handle.
  func media(_ handle: String) async throws -> MediaFile?
}

/// One stored file that may be streamed into a request.
package struct MediaFile: Sendable, Equatable {
  /// Absolute path; the file must not change while it has this hash.
  package let path: String
  package let byteCount: Int64
  /// Media type such as `image/png`.
  package let type: String
  /// SHA-256 of the content in lower-case hex.
  package let sha256: String
  package let filename: String

  package init(path: String, byteCount: Int64, type: String, sha256: String, filename: String) {
    self.path = path
    self.byteCount = byteCount
    self.type = type
    self.sha256 = sha256
    self.filename = filename
  }
}

/// A source without any file, for calls that carry no media.
package struct NoMedia: MediaSource {
  package init() {}

  package func media(_ handle: String) async throws -> MediaFile? { nil }
}
