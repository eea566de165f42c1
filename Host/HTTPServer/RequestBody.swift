/// Where the chunks of a streamed request body come from; one reader at a time.
package protocol BodySource: Sendable {
  /// The next bytes, or nil at the end; throws when the body is too large, too slow or cut off.
  func nextChunk() async throws -> [UInt8]?
}

/// The body of a request.
package struct RequestBody: Sendable {
  enum Storage: Sendable {
    case collected([UInt8])
    case streamed(any BodySource)
  }

  let storage: Storage
  /// The length the client declared; nil when it did not.
  package let declaredLength: Int64?

  init(_ storage: Storage, declaredLength: Int64?) {
    self.storage = storage
    self.declaredLength = declaredLength
  }

  /// A body that is in memory already.
  package init(_ bytes: [UInt8]) {
    self.init(.collected(bytes), declaredLength: Int64(bytes.count))
  }

  /// The whole body of a route that collects it; empty on a route that streams.
  package var bytes: [UInt8] {
    if case .collected(let bytes) = storage { bytes } else { [] }
  }

  /// The body chunk by chunk; the client is held back while nobody reads.
  ///
  /// A streamed body can be read once and by one task.
  package func chunks() -> Chunks { Chunks(storage: storage) }

  package struct Chunks: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    fileprivate let storage: Storage

    package func makeAsyncIterator() -> Iterator { Iterator(storage: storage) }

    package struct Iterator: AsyncIteratorProtocol {
      fileprivate let storage: Storage
      private var isDone = false

      fileprivate init(storage: Storage) { self.storage = storage }

      package mutating func next() async throws -> [UInt8]? {
        guard !isDone else { return nil }
        switch storage {
        case .collected(let bytes):
          isDone = true
          return bytes.isEmpty ? nil : bytes
        case .streamed(let source):
          let chunk = try await source.nextChunk()
          isDone = chunk == nil
          return chunk
        }
      }
    }
  }
}
