import PluginKit

/// What the platform takes of pictures and films.
enum MediaRules {
  static let images = 4
  static let imageBytes: Int64 = 5 << 20
  static let animationBytes: Int64 = 15 << 20
  static let animationWidth: Int64 = 1_280
  static let animationHeight: Int64 = 1_080
  /// What goes through an upload of 1,000 parts; the platform documents 8 GB, which no allowed part size reaches.
  static let videoBytes = Int64(MediaUpload.maximumParts) * MediaUpload.partBytes
  static let imageTypes = ["image/gif", "image/jpeg", "image/png", "image/webp"]
  static let videoTypes = ["video/mp4", "video/quicktime"]
  static let altLimit = 1_000

  /// What a file is to the platform.
  enum Kind {
    case image
    case animation
    case video

    init?(_ type: String) {
      switch type {
      case "image/gif": self = .animation
      case _ where MediaRules.imageTypes.contains(type): self = .image
      case _ where MediaRules.videoTypes.contains(type): self = .video
      default: return nil
      }
    }
  }

  /// Returns what is wrong with the files of one post; `field` is their place in the input.
  static func findings(_ media: [MediaItem], _ field: String) -> [Finding] {
    var findings: [Finding] = []
    if media.count > images {
      findings.append(
        Finding(
          .error,
          field: field,
          code: "tooManyImages",
          "X takes up to \(images) pictures a post.",
          actual: "\(media.count)",
          allowed: "\(images)"
        )
      )
    }
    if media.count > 1, media.contains(where: { [.animation, .video].contains(Kind($0.type)) }) {
      let message = "A GIF or a video stands alone; it cannot go with other files."
      findings.append(Finding(.error, field: field, code: "mixedMedia", message))
    }
    for (index, item) in media.enumerated() { findings += itemFindings(item, "\(field)[\(index)]") }
    return findings
  }

  private static func itemFindings(_ item: MediaItem, _ field: String) -> [Finding] {
    guard let kind = Kind(item.type) else {
      return [
        Finding(
          .error,
          field: "\(field).type",
          code: "unsupportedType",
          "X does not take files of this type.",
          actual: item.type,
          allowed: (imageTypes + videoTypes).joined(separator: ", ")
        )
      ]
    }
    return sizeFindings(item, kind, field) + altFindings(item, kind, field)
  }

  private static func sizeFindings(_ item: MediaItem, _ kind: Kind, _ field: String) -> [Finding] {
    var findings: [Finding] = []
    let most =
      switch kind {
      case .image: imageBytes
      case .animation: animationBytes
      case .video: videoBytes
      }
    if item.bytes > most {
      findings.append(
        Finding(
          .error,
          field: "\(field).bytes",
          code: "tooLarge",
          "The file is larger than X allows.",
          actual: "\(item.bytes)",
          allowed: "\(most)"
        )
      )
    }
    if kind == .animation, let width = item.width, let height = item.height,
      width > animationWidth || height > animationHeight
    {
      findings.append(
        Finding(
          .error,
          field: "\(field).width",
          code: "tooLarge",
          "The GIF has more pixels than X allows.",
          actual: "\(width)x\(height)",
          allowed: "\(animationWidth)x\(animationHeight)"
        )
      )
    }
    return findings
  }

  private static func altFindings(_ item: MediaItem, _ kind: Kind, _ field: String) -> [Finding] {
    let length = item.alt?.unicodeScalars.count ?? 0
    if kind == .video, length > 0 {
      let message = "X takes no description of a video; it is left out."
      return [Finding(.warning, field: "\(field).alt", code: "altDropped", message)]
    }
    guard length > altLimit else { return [] }
    return [
      Finding(
        .error,
        field: "\(field).alt",
        code: "tooLong",
        "The alternative text is too long.",
        actual: "\(length)",
        allowed: "\(altLimit)"
      )
    ]
  }
}
