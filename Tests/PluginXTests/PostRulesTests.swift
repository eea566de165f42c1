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
    #expect(codes(Post(text: "a", media: [image("video/mp4")])) == ["media[0].type:unsupportedType"])
    #expect(codes(Post(text: "a", media: [image(bytes: 5 << 20 + 1)])) == ["media[0].bytes:tooLarge"])
    #expect(codes(Post(text: "a", media: [image("image/gif", bytes: 6 << 20)])).isEmpty)
    #expect(
      codes(Post(text: "a", media: [image(alt: String(repeating: "é", count: 1_001))])) == ["media[0].alt:tooLong"]
    )
    #expect(codes(Post(text: String(repeating: "a", count: 281))) == ["text:tooLong"])
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
