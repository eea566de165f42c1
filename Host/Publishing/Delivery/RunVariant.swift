import Cryptography
import FoundationEssentials
import JSONText

/// What a run of a delivery is started with; a replay gets the same.
struct RunVariant: Sendable {
  /// The variant as the wire's `post` object.
  let post: RawJSON
  /// The files of all its posts.
  let media: [VariantMedia]
  /// How many posts it has: 1, or the posts of a thread.
  let parts: Int
  /// The "now" that the plugin sees.
  let startedAt: Date
  let seed: [UInt8]

  var seedText: String { Hex.encode(seed) }

  /// A run that starts now.
  init(_ variant: Variant, startedAt: Date) {
    post = variant.json()
    media = variant.media + variant.segments.flatMap(\.media)
    parts = 1 + variant.segments.count
    // The wire carries milliseconds, so a replay must not see more.
    self.startedAt = Date(timeIntervalSince1970: (startedAt.timeIntervalSince1970 * 1000).rounded(.down) / 1000)
    seed = RandomBytes.make(16)
  }

  /// A run that has started before.
  init(_ inputs: RunInputs) throws {
    post = try RawJSON(text: inputs.variant)
    let object = try post.object()
    let segments = try object.optionalArray("segments")?.map { try VariantSegment(json: $0) } ?? []
    media = try (object.optionalArray("media")?.map { try VariantMedia(json: $0) } ?? []) + segments.flatMap(\.media)
    parts = 1 + segments.count
    startedAt = inputs.startedAt
    seed = inputs.seed
  }

  /// The form that is stored with the first started row.
  func inputs(pluginVersion: String) -> RunInputs {
    RunInputs(variant: post.text, startedAt: startedAt, seed: seed, pluginVersion: pluginVersion)
  }
}
