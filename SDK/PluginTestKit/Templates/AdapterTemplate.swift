/// A working adapter to begin with, in one of three languages. It publishes to the sandbox's own platform, Microblog.
public enum AdapterTemplate: String, CaseIterable, Sendable {
  case swift
  case python
  case c

  /// One file of a new adapter.
  public struct File: Sendable {
    /// Path inside the adapter's folder.
    public let path: String
    /// The whole text.
    public let text: String
    /// Whether it is a program.
    public let isExecutable: Bool
  }

  /// The files of a new adapter.
  ///
  /// - Parameters:
  ///   - id: id of the plugin; small letters, digits and inner hyphens.
  ///   - name: what people read.
  ///   - sdk: a folder or an address of the package with PluginKit; only Swift needs it.
  public func files(id: String, name: String, sdk: String) -> [File] {
    let (sources, words) = example
    // In this order: the id may hold the example's, and a word of the shared files holds the id.
    let changes =
      [("example-\(rawValue)", id), (#".package(name: "rostrum", path: "../../..")"#, Self.dependency(sdk))]
      + words.map { ($0, $1) } + [("@id@", id), ("@name@", name)]
    return sources.map { path, text in
      File(
        path: path.replacing("example-\(rawValue)", with: id),
        text: changes.reduce(text) { $0.replacing($1.0, with: $1.1) },
        isExecutable: text.hasPrefix("#!")
      )
    }
  }

  /// What to run in the folder before the program can be started; nil if nothing is to be built.
  public var build: String? { self == .python ? nil : "make" }

  private var example: (files: [(path: String, text: String)], words: [String: String]) {
    switch self {
    case .swift: (Self.swiftFiles, Self.swiftWords)
    case .python: (Self.pythonFiles, Self.pythonWords)
    case .c: (Self.cFiles, Self.cWords)
    }
  }

  private static func dependency(_ sdk: String) -> String {
    let quoted = sdk.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    return sdk.contains("://") || sdk.hasPrefix("git@")
      ? ".package(url: \"\(quoted)\", branch: \"main\")" : ".package(name: \"rostrum\", path: \"\(quoted)\")"
  }
}
