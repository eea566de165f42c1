package import FoundationEssentials

/// Writes a plain-text mail as it goes over the wire: encoded headers that nothing can break out of, lines of at most 76
/// characters, CRLF.
package struct MailText: Sendable, Equatable {
  package var from: String
  package var to: String
  package var subject: String
  package var body: String
  /// Without angle brackets.
  package var messageID: String
  package var date: Date

  package init(from: String, to: String, subject: String, body: String, messageID: String, date: Date) {
    self.from = from
    self.to = to
    self.subject = subject
    self.body = body
    self.messageID = messageID
    self.date = date
  }

  package var bytes: [UInt8] {
    let lines = [
      "From: Rostrum <\(from)>", "To: <\(to)>", "Subject: \(Self.header(subject))", "Date: \(Self.date(date))",
      "Message-ID: <\(messageID)>", "Auto-Submitted: auto-generated", "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "",
      Self.quotedPrintable(body), "",
    ]
    return Array(lines.joined(separator: "\r\n").utf8)
  }

  /// Whether a text is an address that may stand in an envelope and in a header as it is.
  package static func isAddress(_ text: String) -> Bool {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...64).contains(parts[0].utf8.count), (1...253).contains(parts[1].utf8.count) else {
      return false
    }
    return text.utf8.allSatisfy { byte in
      byte > 0x20 && byte < 0x7F && !#"<>()[]\,;:""#.utf8.contains(byte)
    }
  }

  /// A header's text: as it is when it is plain, else in encoded words of RFC 2047.
  static func header(_ text: String) -> String {
    let clean = String(
      text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) }.prefix(200)
    )
    let isPlain = clean.utf8.allSatisfy { $0 < 0x7F } && !clean.contains("=?") && clean.utf8.count <= 66
    if isPlain { return clean }
    // A word holds at most 39 bytes of whole characters, so that the line stays below 76 in Base64.
    var words: [String] = []
    var piece: [UInt8] = []
    for character in clean {
      let bytes = Array(character.utf8.prefix(39))
      if piece.count + bytes.count > 39 {
        words.append(word(piece))
        piece = []
      }
      piece += bytes
    }
    if !piece.isEmpty { words.append(word(piece)) }
    return words.joined(separator: "\r\n ")
  }

  private static func word(_ bytes: [UInt8]) -> String {
    "=?utf-8?B?\(Data(bytes).base64EncodedString())?="
  }

  /// The date of RFC 5322, in UTC.
  static func date(_ date: Date) -> String {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    let parts = calendar.dateComponents([.year, .month, .day, .weekday, .hour, .minute, .second], from: date)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int?) -> String {
      let number = number ?? 0
      return number < 10 ? "0\(number)" : "\(number)"
    }
    let (day, month) = (days[((parts.weekday ?? 1) - 1) % 7], months[((parts.month ?? 1) - 1) % 12])
    return "\(day), \(two(parts.day)) \(month) \(parts.year ?? 1970) "
      + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) +0000"
  }

  /// Text in the encoding of RFC 2045, section 6.7.
  static func quotedPrintable(_ text: String) -> String {
    let lines = text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)
    return lines.map { line in
      var output = ""
      var width = 0
      let bytes = Array(line.utf8)
      for (index, byte) in bytes.enumerated() {
        let isLast = index == bytes.count - 1
        let isPlain = (byte > 0x20 && byte < 0x7F && byte != 0x3D) || (byte == 0x20 && !isLast)
        let piece = isPlain ? String(UnicodeScalar(byte)) : escape(byte)
        if width + piece.utf8.count > 75 {
          output += "=\r\n"
          width = 0
        }
        output += piece
        width += piece.utf8.count
      }
      return output
    }.joined(separator: "\r\n")
  }

  private static func escape(_ byte: UInt8) -> String {
    let digits = Array("0123456789ABCDEF")
    return "=\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
  }
}
