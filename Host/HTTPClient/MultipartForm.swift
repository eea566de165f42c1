/// Lays out a `multipart/form-data` body (RFC 7578) as pieces with known lengths.
enum MultipartForm {
  /// A piece of a body.
  enum Piece {
    case bytes([UInt8])
    case file(FileRange)
  }

  /// Returns a constant text that names what is wrong with the parts, or nil.
  static func problem(parts: [RequestBody.Part], boundary: String?) -> String? {
    if let boundary, !(1...70).contains(boundary.utf8.count) || !boundary.utf8.allSatisfy(RequestCheck.isToken) {
      return "the boundary is not a token of 1 to 70 characters"
    }
    guard !parts.isEmpty else { return "a multipart body has no part" }
    for part in parts where part.contentType?.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) == false {
      return "the content type of a part has a control or non-ASCII character"
    }
    return nil
  }

  /// Returns a boundary that nobody can foresee, so no content can contain it on purpose.
  static func makeBoundary() -> String {
    let words = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }
    return "rostrum-" + words.joined(separator: "-")
  }

  /// Returns the body's pieces in order.
  static func pieces(of parts: [RequestBody.Part], boundary: String) -> [Piece] {
    var pieces: [Piece] = []
    var text = ""
    for part in parts {
      text += "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(escaped(part.name))\""
      if let filename = part.filename { text += "; filename=\"\(escaped(filename))\"" }
      text += "\r\n"
      if let contentType = part.contentType { text += "Content-Type: \(contentType)\r\n" }
      text += "\r\n"
      switch part.content {
      case .text(let value): text += value
      case .bytes(let bytes): pieces.append(.bytes(Array(text.utf8) + bytes)); text = ""
      case .file(let file): pieces.append(.bytes(Array(text.utf8))); pieces.append(.file(file)); text = ""
      }
      text += "\r\n"
    }
    text += "--\(boundary)--\r\n"
    pieces.append(.bytes(Array(text.utf8)))
    return pieces
  }

  /// Escapes what would end a quoted name, as browsers do.
  private static func escaped(_ name: String) -> String {
    var output = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\"": output += "%22"
      case "\r": output += "%0D"
      case "\n": output += "%0A"
      default: output.unicodeScalars.append(scalar)
      }
    }
    return output
  }
}
