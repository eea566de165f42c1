import Egress
import PluginManifest
import Testing

@testable import Publishing

/// What a person may enter as the address of an account.
@Suite struct AccountAddressesTests {
  private static func manifest() throws -> PluginManifest {
    let text = ProbeManifest.text().replacing(
      #""account": {"fields": []}"#,
      with: #"""
        "account": {"fields": [{"name": "origin", "label": "Server", "type": "origin", "required": true},
                               {"name": "endpoint", "label": "Address", "type": "url"}]}
        """#
    )
    return try PluginManifest.parse(Array(text.utf8))
  }

  private func read(_ fields: [String: String], allow: String = "") throws -> AccountAddresses {
    try AccountAddresses(fields, manifest: Self.manifest(), policy: AddressPolicy(allow: allow, overrides: ""))
  }

  @Test(arguments: [
    ("https://social.example", "https://social.example"), ("https://Social.Example/", "https://social.example"),
    ("https://social.example:443", "https://social.example"),
    ("https://social.example:8443/", "https://social.example:8443"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
  ])
  func anOriginIsKeptInOneForm(_ entered: String, _ stored: String) throws {
    let addresses = try read(["origin": entered, "endpoint": "https://hooks.example/in?x=1"])
    #expect(addresses.origin == stored)
    #expect(addresses.endpoint == "https://hooks.example/in?x=1")
  }

  @Test(arguments: [
    ("social.example", "notAllowed"), ("https://social.example/users", "notAllowed"),
    ("https://social.example/?x", "notAllowed"), ("https://me@social.example", "notAllowed"),
    ("https://bücher.example", "notAllowed"), ("https://social.example.", "notAllowed"),
    ("http://social.example", "address_not_allowed"), ("https://10.0.0.7", "address_not_allowed"),
    ("https://[::1]", "address_not_allowed"), ("https://2130706433", "notAllowed"), ("javascript:1", "notAllowed"),
  ])
  func anythingElseIsNamed(_ entered: String, _ code: String) throws {
    do {
      _ = try read(["origin": entered])
      Issue.record("\(entered) was taken")
    } catch let error as PublishingError {
      #expect(error.code == code)
      #expect(error.field == "fields.origin")
    }
  }

  @Test func theOperatorAllowsMore() throws {
    #expect(try read(["origin": "http://10.0.0.7:3000"], allow: "10.0.0.7:3000").origin == "http://10.0.0.7:3000")
  }

  @Test func fieldsAreThoseOfTheManifest() throws {
    for fields in [["host": "x", "origin": "https://a.example"], ["endpoint": "https://a.example"]] {
      #expect(throws: PublishingError.self) { try read(fields) }
    }
  }
}
