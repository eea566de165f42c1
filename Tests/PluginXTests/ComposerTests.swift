import PluginKit
import Testing
import plugin_x

@Suite struct ComposerTests {
  private func compose(_ post: Post, _ limit: Int = 280) -> Composer.Composition {
    Composer(limit: limit).compose(post)
  }

  @Test func appendsTagsThenTheLink() {
    let post = Post(text: " Hello world ", url: "https://example.com/p", tags: ["swift", "open source", "123", "C++"])
    #expect(compose(post).text == "Hello world #swift #OpenSource #C\nhttps://example.com/p")
  }

  @Test func repeatsNothingThatTheTextHas() {
    let post = Post(
      text: "Read https://example.com/p now #Swift",
      url: "https://example.com/p",
      tags: ["swift", "swiftly"]
    )
    #expect(compose(post).text == "Read https://example.com/p now #Swift #swiftly")
  }

  @Test func takesExcerptOrTitleWhereThereIsNoText() {
    #expect(compose(Post(text: " ", title: "T", excerpt: "E")).text == "E")
    #expect(compose(Post(text: "", title: "T", url: "https://a.com")).text == "T\nhttps://a.com")
    #expect(compose(Post(text: "", url: "https://a.com")).text == "https://a.com")
    #expect(compose(Post(text: "")).text == "")
  }

  @Test func neverCutsAPersonsWords() {
    let text = String(repeating: "word ", count: 100) + "end"
    let composition = compose(Post(text: text, url: "https://example.com/p", tags: ["tag"]))
    #expect(composition.text == text + "\nhttps://example.com/p")
    #expect(composition.droppedTags == ["#tag"])
  }

  @Test func namesTagsThatDoNotFit() {
    let post = Post(text: String(repeating: "x", count: 270), tags: ["abc", "muchlongertag", "d"])
    let composition = compose(post)
    #expect(composition.text.hasSuffix("x #abc"))
    #expect(composition.droppedTags == ["#muchlongertag", "#d"])
  }

  @Test func composingAgainChangesNothing() {
    let words = [
      "word", "日本語のテキスト", "😀👍🏽", "https://example.com/a?b=c", "example.org", "#tag", "…", "end.", "👨‍👩‍👧‍👦", "naïve",
    ]
    var random = SeededRandom(seed: "composer")
    for _ in 0..<400 {
      let count = Int.random(in: 0...90, using: &random)
      let text = (0..<count).map { _ in words[Int.random(in: 0..<words.count, using: &random)] }.joined(separator: " ")
      let url = Bool.random(using: &random) ? "https://example.net/some/page" : nil
      let post = Post(text: text, url: url, tags: ["alpha", "beta gamma", "a tag that is rather long"])
      let first = compose(post)
      if let url { #expect(first.text.contains(url)) }
      var again = post
      again.text = first.text
      #expect(compose(again).text == first.text, "\(first.text)")
    }
  }
}
