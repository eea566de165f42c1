import Cryptography
import Egress
import FoundationEssentials
import Glibc
import JSONText
import MediaStore

/// The files of one delivery: a handle is valid only inside it.
struct VariantMediaSource: MediaSource {
  let media: [VariantMedia]
  let files: MediaFiles

  /// The largest piece that one `host/media.read` gives, in bytes.
  private static let maximumRead: Int64 = 196_608

  func media(_ handle: String) async throws -> MediaFile? {
    guard let item = media.first(where: { $0.handle == handle }) else { return nil }
    return MediaFile(
      path: files.path(sha256: item.sha256),
      byteCount: item.bytes,
      type: item.type,
      sha256: item.sha256,
      filename: item.fileName
    )
  }

  /// Answers `host/media.stat`.
  func stat(_ parameters: RawJSON) throws(EgressError) -> RawJSON {
    let item = try item(parameters)
    return RawJSON.object { writer in
      writer.field("type", item.type)
      writer.field("bytes", item.bytes)
      writer.field("width", item.width)
      writer.field("height", item.height)
      writer.field("sha256", item.sha256)
    }
  }

  /// Answers `host/media.read`.
  func read(_ parameters: RawJSON) async throws(EgressError) -> RawJSON {
    let item = try item(parameters)
    let offset: Int64
    let length: Int64
    do {
      let object = try parameters.object()
      offset = try object.int64("offset")
      length = try object.int64("length")
    } catch {
      throw EgressError(.invalidParams, "\(error)", field: error.field)
    }
    guard (0...item.bytes).contains(offset) else {
      throw EgressError(.invalidParams, "The offset \(offset) is not within 0 to \(item.bytes)", field: "offset")
    }
    guard (1...Self.maximumRead).contains(length) else {
      throw EgressError(.invalidParams, "The length \(length) is not within 1 to \(Self.maximumRead)", field: "length")
    }
    let path = files.path(sha256: item.sha256)
    let bytes = await DiskReader.read(path: path, offset: offset, count: Int(min(length, item.bytes - offset)))
    guard let bytes else { throw EgressError(.internal, "The file of \(item.handle) can not be read") }
    return RawJSON.object(capacity: bytes.count * 4 / 3 + 32) { writer in
      writer.field("base64", Base64.encode(bytes))
    }
  }

  private func item(_ parameters: RawJSON) throws(EgressError) -> VariantMedia {
    let handle: String
    do {
      handle = try parameters.object().string("handle")
    } catch {
      throw EgressError(.invalidParams, "\(error)", field: error.field)
    }
    guard let item = media.first(where: { $0.handle == handle }) else {
      throw EgressError(.capabilityDenied, "The delivery has no media “\(handle.prefix(40))”", field: "handle")
    }
    return item
  }
}
