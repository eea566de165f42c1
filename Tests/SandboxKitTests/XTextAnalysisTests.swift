import Testing

@testable import SandboxKit

@Suite struct XTextAnalysisTests {
  @Test(arguments: [
    ("", 0), ("hello", 5), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("–", 1), ("…", 2), ("\u{200D}", 1), ("😀", 2),
    ("👩‍👩‍👧", 2), ("👍🏽", 2), ("🇩🇪", 2), ("1️⃣", 2), ("©", 1), ("❤️", 2), ("a😀b", 4), ("가", 2),
    ("\u{1100}\u{1161}", 2), ("\u{212B}", 1), ("q\u{307}\u{323}", 3),
  ])
  func weighs(text: String, weight: Int) {
    #expect(XTextAnalysis(text).weight == weight)
  }

  @Test(arguments: [
    ("https://example.com", ["https://example.com"]),
    ("see http://EXAMPLE.com/a?b=c#d.", ["http://EXAMPLE.com/a?b=c#d"]),
    ("example.com is bare", ["example.com"]),
    ("(https://en.wikipedia.org/wiki/A_(b))", ["https://en.wikipedia.org/wiki/A_(b)"]),
    ("https://a.de/x, https://b.de/y!", ["https://a.de/x", "https://b.de/y"]),
    ("mail me@example.com or me.you@example.com", []),
    ("@example.com #example.com $example.com", []),
    ("version 1.2.3 and file.txt or e.g. this", []),
    ("http://127.0.0.1:80/x http://localhost/x", []),
    ("https://sub.example.co.uk:8443/path-/", ["https://sub.example.co.uk:8443/path-/"]),
    ("HTTPS://x.COM", ["HTTPS://x.COM"]),
    ("xhttps://a.de", []),
    ("日本https://a.de/日本", ["https://a.de/"]), ("見てa.de日本", ["a.de"]), ("https://bücher.de", ["https://bücher.de"]),
    ("end.Next sentence", []),
  ])
  func findsLinks(text: String, links: [String]) {
    #expect(XTextAnalysis(text).links.map(\.text) == links)
  }

  @Test func countsEveryLinkAs23() {
    let long = "https://example.com/" + String(repeating: "a", count: 300)
    #expect(XTextAnalysis("\(long) a.de").weight == 23 + 1 + 23)
  }

  @Test(arguments: [
    ("$AAPL", 1), ("$AAPL $TSLA", 2), ("$BRK.A", 1), ("$5 $10.00", 0), ("a$AAPL", 0), ("$TOOLONGS", 0), ("$a $b $c", 3),
  ])
  func countsCashtags(text: String, count: Int) {
    #expect(XTextAnalysis(text).cashtags == count)
  }

  @Test func findsMentions() {
    #expect(XTextAnalysis("@Alice hi (@bob_1), a@c.de @@d @toolongusername16").mentions == ["alice", "bob_1"])
  }
}
