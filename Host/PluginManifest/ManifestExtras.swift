package import FoundationEssentials
internal import JSONDocument

/// One program of a bundle: what runs on one kind of machine, and the digest of every file it needs.
package struct Artifact: Sendable, Equatable {
  /// The operating system, `linux`.
  package let os: String
  /// The processor, `x86_64` or `aarch64`; `any` for programs of an interpreter.
  package let arch: String
  /// Path of the program inside the bundle; one of `files`.
  package let entry: String
  /// SHA-256 of every file as 64 lower-case hexadecimal digits, by path inside the bundle.
  package let files: [String: String]

  package init(os: String, arch: String, entry: String, files: [String: String]) {
    self.os = os
    self.arch = arch
    self.entry = entry
    self.files = files
  }

  /// Most files of a bundle.
  package static let maximumFiles = 1_000
  package static let pathRule = "at most 100 bytes of letters, digits and . _ - + @ between slashes, no . or .. alone"

  /// Whether a path may name a file of a bundle: relative, without `.` and `..`, of plain characters.
  package static func isPath(_ path: String) -> Bool {
    guard (1...100).contains(path.utf8.count) else { return false }
    return path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(isFileName)
  }

  /// Whether a text may name a file: letters, digits and `. _ - + @`, neither `.` nor `..`, no hyphen first.
  package static func isFileName(_ name: some StringProtocol) -> Bool {
    guard let first = name.utf8.first, first != UInt8(ascii: "-"), name != ".", name != ".." else { return false }
    return name.utf8.allSatisfy { isAlphanumeric($0) || "._-+@".utf8.contains($0) }
  }
}

/// The interpreter that runs a plugin's script, and the folders it may read beside the plugin's own.
package struct Runtime: Sendable, Equatable {
  /// Absolute path, such as `/usr/bin/python3`.
  package let interpreter: String
  /// Absolute paths.
  package let readPaths: [String]

  package init(interpreter: String, readPaths: [String]) {
    self.interpreter = interpreter
    self.readPaths = readPaths
  }

  package static let pathRule = "an absolute path of at most 200 bytes without . and .. parts"

  package static func isPath(_ path: String) -> Bool {
    guard (2...200).contains(path.utf8.count), path.hasPrefix("/"), !path.utf8.contains(where: { $0 < 33 || $0 == 127 })
    else { return false }
    let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    return parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }
}

/// A picture of the platform in one colour, drawn in a square of 24 by 24.
package struct Icon: Sendable, Equatable {
  /// Path data as SVG has them, 1...4096 bytes of commands, numbers, spaces and commas.
  package let path: String
  /// `#rrggbb` in lower case.
  package let color: String
}

/// How a preview of a post looks on the platform.
package struct PreviewLook: Sendable, Equatable {
  package enum Shape: String, Sendable, CaseIterable {
    /// Short text under the author's name.
    case post
    /// A headline with text below.
    case article
    /// A bubble in a conversation.
    case message
    /// A picture first, with its caption below.
    case picture
    /// Fields and values, for machines.
    case record
  }

  package enum Avatar: String, Sendable, CaseIterable {
    case round
    case square
    case none
  }

  package let shape: Shape
  package let avatar: Avatar
  /// `#rrggbb` in lower case; nil for the product's own colour.
  package let accent: String?
}

/// A value the operator sets in the host's environment for this platform, such as the id of an OAuth application.
package struct ConfigurationName: Sendable, Equatable {
  /// Name of the environment variable.
  package let name: String
  package let label: String
  package let isSecret: Bool
}

/// The platform's own interface that the plugin is written for.
package struct APIVersion: Sendable, Equatable {
  /// As the platform writes it.
  package let name: String
  /// The day the platform ends this version, `YYYY-MM-DD`; nil when none is known.
  package let sunset: String?

  package init(name: String, sunset: String?) {
    self.name = name
    self.sunset = sunset
  }

  /// Whole days until the platform ends the version, 0 on the last day before, less than 0 afterwards; nil when no end
  /// is known.
  package func daysLeft(at now: Date) -> Int? {
    guard let end = sunset.flatMap({ RFC3339.parse("\($0)T00:00:00Z") }) else { return nil }
    return Int((end.timeIntervalSince(now) / 86_400).rounded(.down))
  }
}

/// Where people read about the platform.
package struct ManifestLinks: Sendable, Equatable {
  /// Shows whether the platform works right now.
  package let status: String?
  /// The documentation of the platform's interface.
  package let docs: String?
  /// Where the plugin's author helps.
  package let support: String?
}
