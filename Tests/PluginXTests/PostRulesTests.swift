import PluginKit
import Testing
import plugin_x

@Suite struct PostRulesTests {
  private func codes(_ post: Post) -> [String] { PostRules(nil).review(post).findings.map { "\($0.field):\($0.code)" } }

  private func image(_ type: String = "image/png", bytes: Int64 = 10, alt: String? = nil) -> MediaItem {
    MediaItem(handle: "m", type: type, bytes: bytes, alt: alt)
  }

  @Test func findsWhatTheplatformRefuses() {
    #expect(codes(Post(text: "")) == ["text:empty"])
    #expect(codes(Post(text: "", media: [image()])).isEmpty)
    #expect(codes(Post(text: "$ABC and $DEF")) == ["text:tooManyCashtags"])
    #expect(codes(Post(text: "$ABC costs $5, US$ABC $ABCDEFGH")).isEmpty)
    #expect(codes(Post(text: "a", media: Array(repeating: image(), count: 5))) == ["media:tooManyImages"])
    #expect(codes(Post(text: "a", media: [image("image/gif"), image()])) == ["media:mixedMedia"])
    #expect(codes(Post(text: "a", media: [image("video/x-matroska")])) == ["media[0].type:unsupportedType"])
    #expect(codes(Post(text: "a", media: [image("video/mp4", bytes: 600 << 20)])).isEmpty)
    #expect(
      codes(Post(text: "a", media: [image("video/mp4", bytes: 1_000 * 4 << 20 + 1)])) == ["media[0].bytes:tooLarge"]
    )
    #expect(codes(Post(text: "a", media: [image("video/mp4"), image()])) == ["media:mixedMedia"])
    #expect(codes(Post(text: "a", media: [image("video/mp4", alt: "b")])) == ["media[0].alt:altDropped"])
    var wide = image("image/gif")
    (wide.width, wide.height) = (1_281, 100)
    #expect(codes(Post(text: "a", media: [wide])) == ["media[0].width:tooLarge"])
    #expect(codes(Post(text: "a", media: [image(bytes: 5 << 20 + 1)])) == ["media[0].bytes:tooLarge"])
    #expect(codes(Post(text: "a", media: [image("image/gif", bytes: 6 << 20)])).isEmpty)
    #expect(
      codes(Post(text: "a", media: [image(alt: String(repeating: "é", count: 1_001))])) == ["media[0].alt:tooLong"]
    )
    #expect(codes(Post(text: String(repeating: "a", count: 281))) == ["text:tooLong"])
  }

  @Test func looksAtEachPostOfAThread() {
    let long = String(repeating: "a", count: 281)
    func thread(_ segments: PostSegment...) -> Post { Post(text: "one", segments: segments) }
    #expect(codes(thread(PostSegment(text: "two"), PostSegment(text: "", media: [image()]))).isEmpty)
    #expect(codes(thread(PostSegment(text: " "))) == ["segments[0].text:empty"])
    #expect(codes(thread(PostSegment(text: "two"), PostSegment(text: long))) == ["segments[1].text:tooLong"])
    #expect(codes(thread(PostSegment(text: "$A $B"))) == ["segments[0].text:tooManyCashtags"])
    #expect(codes(thread(PostSegment(text: " one "))) == ["segments[0].text:duplicateText"])
    let five = PostSegment(text: "two", media: Array(repeating: image(), count: 5))
    #expect(codes(thread(five)) == ["segments[0].media:tooManyImages"])
    let tiff = PostSegment(text: "two", media: [image("image/tiff")])
    #expect(codes(thread(tiff)) == ["segments[0].media[0].type:unsupportedType"])
    let many = Post(text: "0", segments: (1...25).map { PostSegment(text: "\($0)") })
    #expect(codes(many) == ["segments:tooManySegments"])
    let review = PostRules(nil).review(Post(text: "one", tags: ["tag"], segments: [PostSegment(text: " two ")]))
    #expect(review.texts == ["one #tag", "two"])
    #expect(review.segments[0].length == TextLength(count: 3, limit: 280, unit: "weighted"))
  }

  @Test func knowsItsOptions() throws {
    func found(_ options: String) throws -> [String] { codes(Post(text: "a", options: try RawJSON(text: options))) }
    let good = try found(#"{"replySettings":"following","madeWithAI":true,"paidPartnership":false}"#)
    #expect(good.isEmpty)
    let bad = try found(#"{"replySettings":"nobody","madeWithAI":"yes","x":1}"#)
    #expect(bad == ["options.replySettings:notAllowed", "options.madeWithAI:notAllowed", "options.x:unknownOption"])
  }

  @Test func countsCashtagsLikeThePlatform() {
    #expect(Cashtags.count(in: "$a $B.c $D_ef") == 3)
    #expect(Cashtags.count(in: "$1 $ $$ a$b $abc1 $toolong") == 0)
    #expect(Cashtags.count(in: "$BRK.A.") == 1)
  }

  @Test func longPostsNeedTheCapability() {
    let long = Capabilities(text: Capabilities.Text(limit: 25_000, unit: "weighted"))
    let review = PostRules(long).review(Post(text: String(repeating: "a", count: 25_000)))
    #expect(review.findings.isEmpty)
    #expect(review.length == TextLength(count: 25_000, limit: 25_000, unit: "weighted"))
  }
}
