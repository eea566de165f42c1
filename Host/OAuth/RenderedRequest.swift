import Cryptography
import Egress
package import PluginManifest

/// A request of a manifest with all values filled in. It holds secrets: it is made, sent and forgotten.
package struct RenderedRequest: Sendable {
  package let method: String
  /// With the query.
  package let address: String
  package let headers: [(String, String)]
  /// The form of a POST; nil for everything else.
  package let form: String?

  /// - Parameter extra: parameters beside those of the manifest, such as the mark of a page.
  /// - Throws: ``OAuthError/missing(_:)`` for a value that is not there; an empty text is never sent in its place.
  package init(
    _ request: OAuthRequest,
    _ values: OAuthValues,
    adding extra: [(String, String)] = []
  ) throws(OAuthError) {
    let text = FormText.encode(try values.pairs(request.parameters) + extra)
    let address = try values.address(request.address)
    var headers = [("accept", "application/json")]
    if let authorization = try Self.authorization(request, values) { headers.append(("authorization", authorization)) }
    let isForm = request.method == .post
    if isForm { headers.append(("content-type", "application/x-www-form-urlencoded")) }
    method = request.method.rawValue
    self.address = isForm || text.isEmpty ? address : address + "?" + text
    self.headers = headers
    form = isForm ? text : nil
  }

  private static func authorization(_ request: OAuthRequest, _ values: OAuthValues) throws(OAuthError) -> String? {
    switch request.authentication {
    case .none: return nil
    case .basic:
      guard let secret = values.text(.clientSecret) else { throw .missing(OAuthPlace.clientSecret.rawValue) }
      let pair = PercentEncoding.encode(values.clientID) + ":" + PercentEncoding.encode(secret)
      return "Basic " + Base64.encode(Array(pair.utf8))
    case .bearer:
      guard let token = values.text(.token) else { throw .missing(OAuthPlace.token.rawValue) }
      return "Bearer " + token
    }
  }
}

extension RenderedRequest: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "\(method) request" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
