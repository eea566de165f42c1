import FoundationEssentials
import JSONText
import Testing

@testable import Publishing

@Suite struct VariantTests {
  private func source(
    options: String = "{}",
    target: String? = nil,
    _ change: (inout VariantSource) -> Void = { _ in }
  ) throws -> VariantSource {
    var source = VariantSource(
      title: "Title",
      excerpt: "Excerpt",
      url: "https://a.example/post",
      tags: ["News"],
      distributionOptions: try RawJSON(text: options),
      targetPayload: try target.map { try RawJSON(text: $0) }
    )
    change(&source)
    return source
  }

  @Test func theNearestWordWins() throws {
    let own = #"{"customMessage":"custom","overrides":{"7":{"text":"own"}}}"#
    let target = #"{"text":"target"}"#
    #expect(try source(options: own, target: target).variant(for: 7).text == "own")
    #expect(try source(options: own, target: target).variant(for: 8).text == "custom")
    #expect(try source(target: target).variant(for: 7).text == "target")
    #expect(try source().variant(for: 7).text == "Excerpt")
    #expect(try source { $0.excerpt = "" }.variant(for: 7).text == "Title")
  }

  @Test func linksCanBeSwitchedOff() throws {
    #expect(try source().variant(for: 7).url == "https://a.example/post")
    #expect(try source(target: #"{"includeLink":false}"#).variant(for: 7).url == nil)
    let own = #"{"overrides":{"7":{"includeLink":true}}}"#
    #expect(try source(options: own, target: #"{"includeLink":false}"#).variant(for: 7).url != nil)
  }

  @Test func tagsOfPostAndTargetAreJoinedOnce() throws {
    #expect(try source(target: #"{"hashtags":["news","Local"]}"#).variant(for: 7).tags == ["News", "Local"])
    #expect(try source(options: #"{"overrides":{"7":{"hashtags":[]}}}"#).variant(for: 7).tags == [])
  }

  @Test func optionsOfTheAccountReplaceThoseOfTheTarget() throws {
    let own = #"{"overrides":{"7":{"options":{"a":1}}}}"#
    let target = #"{"options":{"b":2}}"#
    #expect(try source(options: own, target: target).variant(for: 7).options?.text == #"{"a":1}"#)
    #expect(try source(target: target).variant(for: 7).options?.text == #"{"b":2}"#)
  }

  @Test func wrongShapesAreErrors() throws {
    for options in [#"{"customMessage":1}"#, #"{"overrides":[]}"#, #"{"overrides":{"7":{"hashtags":"a"}}}"#] {
      #expect(throws: (any Error).self) { try source(options: options).variant(for: 7) }
    }
  }

  @Test func mediaComesBackAsItWas() throws {
    let media = VariantMedia(
      mediaID: 5,
      type: "image/png",
      bytes: 123,
      width: 4,
      height: nil,
      sha256: String(repeating: "a", count: 64),
      fileName: "ü \"1\".png",
      alt: "A\nB"
    )
    let variant = try source { $0.media = [media] }.variant(for: 7)
    let read = try variant.json().object().optionalArray("media")?.map { try VariantMedia(json: $0) }
    #expect(read == [media])
    let stored = RawJSON.array([media]) { writer, item in item.writeStored(to: &writer) }
    #expect(try VariantMedia.list(stored.text) == [media])
    #expect(try RunVariant(RunVariant(variant, startedAt: .now).inputs(pluginVersion: "1.0.0")).media == [media])
  }

  @Test(arguments: ["m-", "m-x", "5", "n-5", "m-99999999999999999999"])
  func strangeHandlesAreErrors(handle: String) throws {
    let json = try RawJSON(
      text: #"{"handle":"\#(handle)","type":"image/png","bytes":1,"sha256":"a","filename":"f"}"#
    )
    #expect(throws: VariantError.badHandle(handle)) { try VariantMedia(json: json) }
  }
}
