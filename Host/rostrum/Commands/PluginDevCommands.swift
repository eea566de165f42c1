import FoundationEssentials
import JSONDocument
import PluginTestKit

/// `rostrum plugin new|dev|conformance|record|replay|inspect`: for people who write adapters. They need no host.
enum PluginDevCommands {
  static let all = [
    new, PluginDevConformance.command, PluginDevLoop.command, record, replay, PluginDevInspect.command,
  ]

  private static let new = Command(
    words: ["plugin", "new"],
    summary: "Make a new adapter that works, with tests, to begin with",
    operands: [.init(name: "NAME", about: "the plugin's id: small letters, digits and hyphens; also its folder")],
    options: [
      .value("language", "LANGUAGE", "swift, python or c", required: true),
      .value("into", "DIR", "the folder to make; NAME when left out"),
      .value("sdk", "PLACE", "folder or address of the Rostrum package, for Swift; this program's own when left out"),
    ]
  ) { invocation in
    let id = invocation.operand(0)
    guard isSlug(id) else {
      throw CommandError(
        .usage,
        "NAME is “\(id)”; allowed are small letters, digits and inner hyphens, 1 to 40, a letter first"
      )
    }
    let word = invocation.option("language") ?? ""
    guard let template = AdapterTemplate(rawValue: word) else {
      let known = AdapterTemplate.allCases.map(\.rawValue).joined(separator: ", ")
      throw CommandError(.usage, "--language is “\(word)”; allowed are \(known)")
    }
    let folder = PluginDevAdapter.absolute(invocation.option("into") ?? id)
    guard !FileManager.default.fileExists(atPath: folder) else {
      throw CommandError(.failure, "\(folder) exists already; choose another name, or a folder with --into DIR")
    }
    let files = template.files(id: id, name: name(of: id), sdk: try sdk(template, invocation))
    for file in files { try write(file, into: folder) }
    invocation.show([
      "folder": .string(folder), "plugin": .string(id), "files": .array(files.map { .string($0.path) }),
      "build": template.build.map { .string($0) } ?? .null,
    ]) {
      let terminal = invocation.terminal
      terminal.print("Made \(id) in \(folder):")
      for file in files { terminal.print("  \(file.path)") }
      if let build = template.build { terminal.print("Build it with `\(build)` in that folder.") }
      terminal.print("Then run `rostrum plugin conformance \(invocation.option("into") ?? id)/bundle`.")
    }
    return .success
  }

  private static let record = Command(
    words: ["plugin", "record"],
    summary: "Walk through an adapter and keep every frame as a cassette",
    operands: [PluginDevAdapter.operand, .init(name: "CASSETTE", about: "the file to write")],
    options: PluginDevAdapter.options
  ) { invocation in
    let adapter = try PluginDevAdapter(invocation)
    let recorder = CassetteRecorder(adapter.manifest)
    let rehearsal = Rehearsal(
      launch: adapter.launch,
      manifest: adapter.manifest,
      cases: try adapter.requiredCases(),
      cassette: recorder
    )
    let isGood = await rehearsal.run { PluginDevLoop.show($0, invocation) }
    let path = invocation.operand(1)
    guard FileManager.default.createFile(atPath: path, contents: Data(recorder.bytes)) else {
      throw CommandError(.failure, "\(path) cannot be written")
    }
    if !invocation.wantsJSON { invocation.terminal.print("Wrote \(path).") }
    return isGood ? .success : .failure
  }

  private static let replay = Command(
    words: ["plugin", "replay"],
    summary: "Play a cassette to an adapter and show where it says something else",
    operands: [PluginDevAdapter.operand, .init(name: "CASSETTE", about: "a file of `rostrum plugin record`")],
    options: PluginDevAdapter.options
  ) { invocation in
    let adapter = try PluginDevAdapter(invocation)
    let cassette: Cassette
    do {
      cassette = try Cassette(try PluginDevAdapter.bytes(invocation.operand(1)))
    } catch {
      throw CommandError(.failure, "\(invocation.operand(1)) is no cassette: \(error)")
    }
    let differences = await CassettePlayer(launch: adapter.launch, cassette: cassette).run()
    invocation.show([
      "frames": .int(Int64(cassette.entries.count)), "differences": .array(differences.map { .string($0) }),
    ]) {
      for difference in differences { invocation.terminal.print(difference) }
      if differences.isEmpty {
        invocation.terminal.print("The same as in the cassette, \(cassette.entries.count) frames.")
      }
    }
    return differences.isEmpty ? .success : .failure
  }

  // MARK: Making

  private static func isSlug(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard (1...40).contains(bytes.count), let first = bytes.first, (97...122).contains(first), bytes.last != 45 else {
      return false
    }
    return bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
  }

  /// `my-blog` becomes `My Blog`.
  private static func name(of id: String) -> String {
    id.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: " ")
  }

  /// The package with PluginKit: as asked for, or the one that this program was built from.
  private static func sdk(_ template: AdapterTemplate, _ invocation: Invocation) throws(CommandError) -> String {
    if let place = invocation.option("sdk") {
      return place.contains("://") || place.hasPrefix("git@") ? place : PluginDevAdapter.absolute(place)
    }
    guard template == .swift else { return "" }
    var folder = PluginDevAdapter.ownFolder
    while folder != "/" {
      if PluginDevAdapter.isFolder("\(folder)/SDK/PluginKit") { return folder }
      folder = PluginDevAdapter.parent(of: folder)
    }
    throw CommandError(.usage, "The Rostrum package is not around this program; say where it is with --sdk PLACE")
  }

  private static func write(_ file: AdapterTemplate.File, into folder: String) throws {
    let path = "\(folder)/\(file.path)"
    let files = FileManager.default
    try files.createDirectory(atPath: PluginDevAdapter.parent(of: path), withIntermediateDirectories: true)
    let mode: [FileAttributeKey: Any] = [.posixPermissions: file.isExecutable ? 0o755 : 0o644]
    guard files.createFile(atPath: path, contents: Data(file.text.utf8), attributes: mode) else {
      throw CommandError(.failure, "\(path) cannot be written")
    }
  }
}
