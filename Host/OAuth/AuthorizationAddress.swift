import Egress
package import PluginManifest

extension OAuthPage {
  /// The address to send a person to. Spaces become `%20`, which every platform reads, unlike `+`.
  package func url(_ values: OAuthValues) throws(OAuthError) -> String {
    try values.address(address) + "?" + FormText.encode(values.pairs(parameters))
  }
}

/// Names and values as a query or a form (`application/x-www-form-urlencoded`).
enum FormText {
  static func encode(_ pairs: [(String, String)]) -> String {
    pairs.map { PercentEncoding.encode($0.0) + "=" + PercentEncoding.encode($0.1) }.joined(separator: "&")
  }
}
