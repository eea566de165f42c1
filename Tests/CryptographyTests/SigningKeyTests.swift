import Cryptography
import Foundation
import Testing

/// Signatures with keys that another program made, checked by that program.
@Suite(.serialized) struct SigningKeyTests {
  /// A folder of its own for one test.
  private struct Workshop: ~Copyable {
    let folder: URL

    init() throws {
      folder = FileManager.default.temporaryDirectory.appending(path: "signing-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
      // A leftover folder does no harm to other tests.
      try? FileManager.default.removeItem(at: folder)
    }

    func openssl(_ arguments: String...) throws -> Bool {
      let process = Process()
      let output = Pipe()
      process.executableURL = URL(filePath: "/bin/sh")
      process.arguments = ["-c", #"openssl "$@" >/dev/null 2>&1; echo $?"#, "sh"] + arguments
      process.currentDirectoryURL = folder
      process.standardOutput = output
      try process.run()
      // The status comes through the pipe, because waiting for a process needs a run loop, which a test has not.
      return output.fileHandleForReading.readDataToEndOfFile() == Data("0\n".utf8)
    }

    func key(_ arguments: [String]) throws -> Secret {
      switch arguments.count {
      case 1: _ = try openssl("genpkey", "-algorithm", arguments[0], "-out", "key.pem")
      default: _ = try openssl("genpkey", "-algorithm", arguments[0], "-pkeyopt", arguments[1], "-out", "key.pem")
      }
      _ = try openssl("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem")
      return Secret(try String(contentsOf: folder.appending(path: "key.pem"), encoding: .utf8))
    }

    func write(_ bytes: [UInt8], to name: String) throws {
      try Data(bytes).write(to: folder.appending(path: name))
    }
  }

  private static let message = Array("header.claims".utf8)

  @Test(arguments: [
    (["RSA", "rsa_keygen_bits:2048"], SigningKey.Algorithm.rs256), (["EC", "ec_paramgen_curve:P-256"], .es256),
    (["ed25519"], .edDSA),
  ])
  func anotherProgramAgrees(_ arguments: [String], _ algorithm: SigningKey.Algorithm) throws {
    let workshop = try Workshop()
    let key = try SigningKey(pem: try workshop.key(arguments))
    #expect(key.algorithm == algorithm)
    // Half of all ECDSA numbers have a leading byte that must be padded or dropped.
    for round in 0..<8 {
      let message = Self.message + [UInt8(round)]
      let signature = try key.sign(message)
      #expect(signature.count == (algorithm == .rs256 ? 256 : 64))
      try workshop.write(algorithm == .es256 ? Self.sequence(signature) : signature, to: "signature")
      try workshop.write(message, to: "message")
      let isGood =
        algorithm == .edDSA
        ? try workshop.openssl(
          "pkeyutl",
          "-verify",
          "-pubin",
          "-inkey",
          "public.pem",
          "-rawin",
          "-in",
          "message",
          "-sigfile",
          "signature"
        ) : try workshop.openssl("dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message")
      #expect(isGood)
    }
  }

  @Test func thePublicPointIsTheKeys() throws {
    let workshop = try Workshop()
    let key = try SigningKey(pem: try workshop.key(["EC", "ec_paramgen_curve:P-256"]))
    _ = try workshop.openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der")
    let der = Array(try Data(contentsOf: workshop.folder.appending(path: "public.der")))
    let coordinates = key.publicCoordinates()
    let point = try #require(coordinates)
    #expect(point.x + point.y == Array(der.suffix(64)))
  }

  @Test func oneLineOfEscapedLineEndsIsReadToo() throws {
    let workshop = try Workshop()
    let pem = try #require(try workshop.key(["ed25519"]).revealText())
    let joined = Secret(pem.replacing("\n", with: "\\n"))
    let one = try SigningKey(pem: joined).sign(Self.message)
    let other = try SigningKey(pem: Secret(pem)).sign(Self.message)
    #expect(one == other)
  }

  @Test(arguments: [["RSA", "rsa_keygen_bits:1024"], ["EC", "ec_paramgen_curve:P-384"], ["X25519"]])
  func weakAndForeignKeysAreRefused(_ arguments: [String]) throws {
    let workshop = try Workshop()
    let pem = try workshop.key(arguments)
    #expect(throws: CryptographyError.invalidParameter("pem")) { _ = try SigningKey(pem: pem).algorithm }
  }

  @Test(arguments: [
    "", "key", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----",
  ])
  func anythingElseIsRefused(_ text: String) {
    #expect(throws: CryptographyError.invalidParameter("pem")) { _ = try SigningKey(pem: Secret(text)).algorithm }
  }

  /// The DER form of a signature of two numbers.
  private static func sequence(_ signature: [UInt8]) -> [UInt8] {
    let numbers = [signature[..<32], signature[32...]].map { half -> [UInt8] in
      let digits = Array(half.drop { $0 == 0 })
      return digits.first.map { $0 >= 0x80 } == true ? [0] + digits : digits
    }
    var body: [UInt8] = []
    for number in numbers { body += [0x02, UInt8(number.count)] + number }
    return [0x30, UInt8(body.count)] + body
  }
}
