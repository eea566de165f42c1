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
    sources.map { path, text in
      File(
        path: path.replacing(exampleID, with: id),
        text: Self.fill(
          text,
          [
            (exampleID, id), (exampleName, name),
            (#".package(name: "rostrum", path: "../../..")"#, Self.dependency(sdk)),
          ]
        ),
        isExecutable: text.hasPrefix("#!")
      )
    }
  }

  /// What to run in the folder before the program can be started; nil if nothing is to be built.
  public var build: String? { self == .python ? nil : "make" }

  private var sources: [(path: String, text: String)] {
    switch self {
    case .swift: Self.swiftFiles
    case .python: Self.pythonFiles
    case .c: Self.cFiles
    }
  }

  private var exampleID: String { "example-\(rawValue)" }

  private var exampleName: String {
    switch self {
    case .swift: "Microblog (Swift)"
    case .python: "Microblog (Python)"
    case .c: "Microblog (C)"
    }
  }

  private static func dependency(_ sdk: String) -> String {
    let quoted = sdk.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    return sdk.contains("://") || sdk.hasPrefix("git@")
      ? ".package(url: \"\(quoted)\", branch: \"main\")" : ".package(name: \"rostrum\", path: \"\(quoted)\")"
  }

  private static func fill(_ text: String, _ changes: [(String, String)]) -> String {
    changes.reduce(text) { $0.replacing($1.0, with: $1.1) }
  }
}
