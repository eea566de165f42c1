import FoundationEssentials
import PluginProtocol

/// The file behind every handle of a case: one grey pixel.
enum SampleMedia {
  private static let base64 =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

  static let bytes = Data(base64Encoded: base64).map(Array.init) ?? []

  /// Fills in what a host knows of a file and a case need not say.
  static func completing(_ post: Post) -> Post {
    var post = post
    post.media = post.media.map(completing)
    post.segments = post.segments.map { segment in
      PostSegment(text: segment.text, media: segment.media.map(completing))
    }
    return post
  }

  private static func completing(_ item: MediaItem) -> MediaItem {
    var item = item
    if item.bytes == 0 { item.bytes = Int64(bytes.count) }
    if item.type == "image/png" {
      item.width = item.width ?? 1
      item.height = item.height ?? 1
    }
    item.filename = item.filename ?? "\(item.handle).png"
    return item
  }
}
