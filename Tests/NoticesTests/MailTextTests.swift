import FoundationEssentials
import Testing

@testable import Notices

@Suite struct MailTextTests {
  private func mail(subject: String = "Hello", body: String = "Body") -> String {
    let text = MailText(
      from: "host@a.example",
      to: "me@b.example",
      subject: subject,
      body: body,
      messageID: "1@a.example",
      date: Date(timeIntervalSince1970: 1_795_250_096)
    )
    return String(decoding: text.bytes, as: UTF8.self)
  }

  @Test func isWhole() {
    let lines = mail().components(separatedBy: "\r\n")
    #expect(
      lines.prefix(5) == [
        "From: Rostrum <host@a.example>", "To: <me@b.example>", "Subject: Hello",
        "Date: Sat, 21 Nov 2026 08:34:56 +0000", "Message-ID: <1@a.example>",
      ]
    )
    #expect(lines.suffix(3) == ["", "Body", ""])
  }

  @Test(arguments: [
    "a\r\nBcc: all@c.example", "a\nBcc: all@c.example", "\r\n\r\nbody", "a\u{0}b\u{1B}c", "é\r\nBcc: x@c.example",
    "=?utf-8?B?DQpCY2M6IHg=?=", String(repeating: "ä\r\n", count: 300),
  ])
  func nothingBreaksOutOfTheSubject(subject: String) {
    let head = mail(subject: subject).components(separatedBy: "\r\n\r\n")[0]
    let names = head.components(separatedBy: "\r\n").filter { !$0.hasPrefix(" ") }.map { line in
      String(line.prefix { $0 != ":" })
    }
    #expect(
      names == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
      ]
    )
    #expect(head.utf8.allSatisfy { $0 < 0x7F && ($0 >= 0x20 || $0 == 13 || $0 == 10) })
    #expect(head.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 78 })
  }

  @Test func otherLettersBecomeEncodedWords() {
    #expect(MailText.header("Grüße") == "=?utf-8?B?R3LDvMOfZQ==?=")
    #expect(MailText.header("=?x?=").hasPrefix("=?utf-8?B?"))
    let words = MailText.header(String(repeating: "üö", count: 60)).components(separatedBy: "\r\n ")
    #expect(words.count > 2)
    // Every word is whole by itself, so that none cuts a letter.
    for word in words {
      let data = Data(base64Encoded: String(word.dropFirst(10).dropLast(2)))
      #expect(data.map { String(validating: $0, as: UTF8.self) != nil } == true)
    }
  }

  @Test func bodiesAreQuotedPrintable() {
    #expect(MailText.quotedPrintable("a=b\nü \n.\n") == "a=3Db\r\n=C3=BC=20\r\n.\r\n")
    #expect(MailText.quotedPrintable("a\r\nb") == "a\r\nb")
    let lines = MailText.quotedPrintable(String(repeating: "ä", count: 100)).components(separatedBy: "\r\n")
    #expect(lines.allSatisfy { $0.utf8.count <= 76 })
    #expect(lines.dropLast().allSatisfy { $0.hasSuffix("=") })
  }

  @Test func addresses() {
    for good in ["a@b", "first.last+tag@mail.example.org"] { #expect(MailText.isAddress(good), "\(good)") }
    for bad in [
      "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nRCPT TO:<c@d>", "a@b>", "<a@b", "a,b@c", "ä@b", "a@b\u{0}",
      String(repeating: "a", count: 65) + "@b",
    ] {
      #expect(!MailText.isAddress(bad), "\(bad)")
    }
  }
}
