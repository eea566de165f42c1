import Testing
import plugin_x

@Suite struct WeightedLengthTests {
  @Test(arguments: [
    ("", 0), ("a", 1), ("hello world", 11), ("\n", 1), ("é", 1), ("e\u{301}", 1), ("\u{10FF}", 1), ("\u{1100}", 2),
    ("日本語", 6), ("한국어", 6), ("\u{1112}\u{1161}\u{11AB}", 2), ("“x”", 3), ("…", 2), ("\u{2032}", 1), ("\u{2038}", 2),
    ("€", 2), ("Привет", 6), ("مرحبا", 5), ("\u{200B}", 1), ("\u{2011}", 1), ("\u{200E}", 2),
  ])
  func countsLetters(_ text: String, _ expected: Int) {
    #expect(WeightedLength.of(text) == expected, "\(text)")
  }

  @Test(arguments: [
    ("😀", 2), ("H🐱☺👨‍👩‍👧‍👦", 7), ("👍🏽", 2), ("🐶🏽", 4), ("🇩🇪", 2), ("🇩🇪🇫🇷", 4), ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 2), ("❤️", 2), ("❤", 2),
    ("❤️‍🔥", 2), ("1️⃣", 2), ("#️⃣", 2), ("*⃣", 2), ("1", 1), ("#", 1), ("©", 1), ("©️", 2), ("®", 1), ("™", 2), ("™️", 2),
    ("☺︎", 4), ("👩🏽‍🚀", 2), ("🏳️‍🌈", 2), ("👩‍❤️‍💋‍👨", 2), ("😀😀", 4), ("a😀b", 4), ("🧑🏿‍🤝‍🧑🏻", 2), ("\u{1F1E9}", 2),
    ("😀\u{200D}", 3), ("😀\u{200D}x", 4),
  ])
  func countsEmojiOnce(_ text: String, _ expected: Int) {
    #expect(WeightedLength.of(text) == expected, "\(text)")
  }

  @Test(arguments: [
    ("https://example.com", 23),
    ("http://example.com/a/very/long/path/that/goes/on/and/on?with=query&and=more#part", 23),
    ("example.com", 23), ("a.co", 23), ("see example.com.", 28), ("(example.com)", 25), ("HTTPS://EXAMPLE.COM/X", 23),
    ("example.com/a(b)c", 23), ("(https://example.com/a_(b))", 25), ("https://example.com:8080/x", 23),
    ("https://münchen.de/straße", 23), ("xn--mnchen-3ya.de", 23), ("example.com, example.org", 48), ("readme.md", 23),
    ("https://example.com/日本", 27), ("日本example.com", 27), ("x@example.com", 13), ("user@mail.example.com", 21),
    ("node.js", 7), ("e.g. this", 9), ("http://localhost/x", 18), ("http://example.invalidtld", 25), ("v1.2.3", 6),
    ("#example.com", 12), ("$a.com", 6), ("a-.com", 6), ("-example.com", 12), ("https://t.co/abc", 23),
    ("https://sub_domain.example.com", 23), ("example.comx", 12), ("example.com@x", 13),
    ("https://example.com?x=1", 23),
    ("https://example.com/!", 24), ("https://a.com\nhttps://b.org", 47), ("foo.example.com.nope", 28), ("...", 3),
  ])
  func countsLinksAs23(_ text: String, _ expected: Int) {
    #expect(WeightedLength.of(text) == expected, "\(text) \(LinkDetector.links(in: text))")
  }

  @Test func longTextsAreCountedInLinearTime() {
    // Would not end in a test's time if counting were quadratic.
    let text = String(repeating: "word https://example.com/x 😀 a.b.c.d.e.f.g ", count: 5_000)
    #expect(WeightedLength.of(text) == 5_000 * (5 + 23 + 1 + 2 + 1 + 13 + 1))
  }
}
