/// The body of an outgoing request; files are streamed from disk and never held whole in memory.
package enum RequestBody: Sendable {
  case none
  case bytes([UInt8])
  case file(FileRange)
  /// A `multipart/form-data` body. Without a `boundary` a random one is made.
  case multipart([Part], boundary: String? = nil)

  /// A field of a multipart body.
  package struct Part: Sendable {
    package var name: String
    package var filename: String?
    package var contentType: String?
    package var content: PartContent

    package init(name: String, filename: String? = nil, contentType: String? = nil, content: PartContent) {
      self.name = name
      self.filename = filename
      self.contentType = contentType
      self.content = content
    }
  }

  /// What a part carries.
  package enum PartContent: Sendable {
    case text(String)
    case bytes([UInt8])
    case file(FileRange)
  }
}

/// A regular file, or a range of it.
package struct FileRange: Sendable {
  package enum Location: Sendable {
    /// Opened when the request starts.
    case path(String)
    /// An open descriptor that the caller keeps open until the request has ended; its position is not used.
    case descriptor(Int32)
  }

  package var location: Location
  /// Byte offsets; nil means the whole file. A range outside the file refuses the request.
  package var range: Range<Int64>?

  package init(path: String, range: Range<Int64>? = nil) {
    location = .path(path)
    self.range = range
  }

  package init(descriptor: Int32, range: Range<Int64>? = nil) {
    location = .descriptor(descriptor)
    self.range = range
  }
}
