import Cryptography
import FoundationEssentials
import JSONDocument
import Server

/// `rostrum backup` and `rostrum restore`
enum BackupCommands {
  static let all = [backup, restore]

  private static let backup = Command(
    words: ["backup"],
    summary: "Write a back-up of database, media and settings into a new folder; the host may run",
    operands: [.init(name: "FOLDER", about: "the folder to make")],
    options: [
      .value(
        "key-passphrase-file",
        "FILE",
        "put the key of the credentials into the back-up too, sealed with the passphrase in this file"
      )
    ]
  ) { invocation in
    let configuration = try invocation.configuration()
    let report = try await Backup(configuration, logger: invocation.quietLogger)
      .write(to: invocation.operand(0), passphrase: try passphrase(invocation))
    invocation.show([
      "path": .string(report.path), "files": .int(Int64(report.files)), "holdsKey": .bool(report.holdsKey),
    ]) {
      invocation.terminal.print(
        "The back-up \(report.path) is complete: the database and \(report.files) files of media."
      )
      let place = configuration.encryptionKey == nil ? configuration.keyFile : "OAUTH_ENCRYPTION_KEY"
      invocation.terminal.print(
        report.holdsKey
          ? "It holds the key of the credentials, sealed; keep the passphrase elsewhere."
          : "It does not hold the key of the credentials (\(place)); keep a copy of that elsewhere."
      )
    }
    return .success
  }

  private static let restore = Command(
    words: ["restore"],
    summary: "Bring a back-up into an empty home; the host then starts on hold",
    operands: [.init(name: "FOLDER", about: "the folder that `rostrum backup` made")],
    options: [.value("key-passphrase-file", "FILE", "open the key in the back-up with the passphrase in this file")]
  ) { invocation in
    let configuration = try invocation.configuration()
    let report = try await Restore(configuration, logger: invocation.quietLogger)
      .read(from: invocation.operand(0), passphrase: try passphrase(invocation))
    invocation.show([
      "createdAt": .string(report.createdAt), "files": .int(Int64(report.files)), "hasKey": .bool(report.hasKey),
    ]) {
      let terminal = invocation.terminal
      terminal.print("Restored the back-up of \(report.createdAt) with \(report.files) files of media.")
      if !report.hasKey {
        terminal.print("Next: put the key of the credentials into \(configuration.keyFile) from where you keep it.")
      }
      terminal.print("The host starts on hold: it sends nothing until `rostrum adopt` or `rostrum release`.")
    }
    return .success
  }

  private static func passphrase(_ invocation: Invocation) throws -> Secret? {
    guard let path = invocation.option("key-passphrase-file") else { return nil }
    guard let data = FileManager.default.contents(atPath: path), let text = String(validating: data, as: UTF8.self)
    else { throw CommandError(.usage, "--key-passphrase-file is “\(path)”; allowed is a text file that can be read") }
    return Secret(String(text.reversed().drop(while: \.isWhitespace).reversed()))
  }
}
