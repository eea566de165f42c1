import FoundationEssentials
import JSONDocument
import PluginManifest
import PluginStore
import Server

/// `rostrum plugin pack|sign|verify`: bundles as files.
enum PluginBundleCommands {
  static let all = [pack, sign, verify]

  private static let key = Command.Option.value("key", "FILE", "the PEM file of the publisher's Ed25519 key, mode 0600")

  private static let pack = Command(
    words: ["plugin", "pack"],
    summary: "Make a bundle of a folder with manifest.json, or of a manifest and its program",
    operands: [.init(name: "WHAT", about: "the folder or the manifest")],
    options: [
      .value("out", "FILE", "the bundle's file; ID-VERSION\(BundleSource.suffix) when left out"),
      .value("programs", "DIR", "where the program of a manifest lies; beside the manifest when left out"),
      key,
    ]
  ) { invocation in
    let what = invocation.operand(0)
    let signer = try invocation.option("key").map { try existing($0) }
    let source = try BundleSource(what, programs: invocation.option("programs"))
    let path = invocation.option("out") ?? source.fileName
    try source.pack(to: path, key: signer)
    let digest = signer == nil ? nil : try Bundle.verify(path).digest
    invocation.show([
      "file": .string(path), "plugin": .string(source.id), "version": .string(source.version),
      "digest": digest.map { .string($0) } ?? .null,
    ]) {
      invocation.terminal.print("Packed \(source.id) \(source.version) into \(path).")
      if let digest {
        invocation.terminal.print("Its digest is \(digest).")
      } else {
        invocation.terminal.print("It is not signed; sign it with `rostrum plugin sign \(path) --key FILE`.")
      }
    }
    return .success
  }

  private static let sign = Command(
    words: ["plugin", "sign"],
    summary: "Sign a bundle with the publisher's key",
    operands: [.init(name: "BUNDLE", about: "the bundle's file")],
    options: [
      .value("key", "FILE", "the PEM file of the publisher's Ed25519 key, mode 0600", required: true),
      .flag("new-key", "make the key when the file is missing"),
      .value("out", "FILE", "write the signed bundle there instead of in its place"),
    ]
  ) { invocation in
    let (path, keyPath) = (invocation.operand(0), invocation.option("key") ?? "")
    let key = invocation.flag("new-key") ? try PublisherKey.readOrMake(keyPath) : try existing(keyPath)
    let output = invocation.option("out") ?? path
    try Bundle.sign(path, with: key, to: output)
    let digest = try Bundle.verify(output).digest
    invocation.show(["file": .string(output), "publisher": .string(key.id), "digest": .string(digest)]) {
      invocation.terminal.print("Signed \(output) as \(key.id).")
      invocation.terminal.print("Its digest is \(digest).")
    }
    return .success
  }

  private static let verify = Command(
    words: ["plugin", "verify"],
    summary: "Check a bundle's file, or every file of the installed plugins on this host",
    operands: [
      .init(name: "WHAT", about: "a bundle's file or a plugin's id; all plugins when left out", isOptional: true)
    ],
    options: [.flag("repair", "unpack damaged plugins again from the database")]
  ) { invocation in
    if let what = invocation.optionalOperand(0), what.contains("/") || what.hasSuffix(BundleSource.suffix) {
      return try verify(file: what, invocation)
    }
    return try await PluginCommands.withRegistry(invocation) { try await verifyInstalled(invocation, $0) }
  }

  private static func verify(file: String, _ invocation: Invocation) throws -> ExitCode {
    let manifest = try Bundle.verify(file)
    let machines = manifest.manifest.artifacts.map { "\($0.os)-\($0.arch)" }
    invocation.show([
      "plugin": .string(manifest.manifest.id), "version": .string("\(manifest.manifest.version)"),
      "digest": .string(manifest.digest), "publisher": .string(manifest.publisher),
      "machines": .array(machines.map { .string($0) }),
      "grants": .array(manifest.grants.all.map { .string($0.words) }),
    ]) {
      let terminal = invocation.terminal
      terminal.print("\(manifest.manifest.id) \(manifest.manifest.version) is whole, signed by \(manifest.publisher).")
      terminal.print("Its digest is \(manifest.digest). It runs on \(machines.joined(separator: ", ")). It asks to:")
      for grant in manifest.grants.all { terminal.print("- \(grant.words)") }
    }
    return .success
  }

  private static func verifyInstalled(_ invocation: Invocation, _ registry: PluginRegistry) async throws -> ExitCode {
    let installer = try PluginInstaller(try invocation.configuration(), registry: registry)
    let folder = installer.folder
    let generation = try await registry.current()
    var bundles = generation.bundles
    if let id = invocation.optionalOperand(0) {
      guard let bundle = generation.bundle(of: id) else {
        throw CommandError(.notFound, "No plugin \(id) is installed; see `rostrum plugin list`")
      }
      bundles = [bundle]
    }
    var rows: [(bundle: StoredBundle, state: String, problems: [String])] = []
    for bundle in bundles {
      guard folder.has(bundle.digest) else {
        rows.append((bundle, "not unpacked yet", []))
        continue
      }
      let problems = folder.problems(bundle.digest)
      guard !problems.isEmpty else {
        rows.append((bundle, "whole", []))
        continue
      }
      guard invocation.flag("repair") else {
        rows.append((bundle, "damaged", problems))
        continue
      }
      try await installer.repair(bundle.digest)
      rows.append((bundle, "repaired", problems))
    }
    let isGood = !rows.contains { $0.state == "damaged" }
    invocation.show([
      "whole": .bool(isGood),
      "plugins": .array(
        rows.map { row in
          [
            "id": .string(row.bundle.id), "version": .string("\(row.bundle.version)"),
            "digest": .string(row.bundle.digest), "state": .string(row.state),
            "problems": .array(row.problems.map { .string($0) }),
          ]
        }
      ),
    ]) {
      invocation.terminal.table(
        ["id", "version", "state"],
        rows.map { [$0.bundle.id, "\($0.bundle.version)", $0.state] }
      )
      for problem in rows.flatMap(\.problems) { invocation.terminal.complain(problem) }
    }
    return isGood ? .success : .failure
  }

  private static func existing(_ path: String) throws -> PublisherKey {
    guard let key = try PublisherKey.read(path) else {
      throw CommandError(
        .notFound,
        "There is no key \(path); make one with `rostrum plugin sign … --key \(path) --new-key`"
      )
    }
    return key
  }
}
