import JSONDocument

/// Members that are about packaging and about people, not about requests.
extension ManifestParser {
  func publisher(_ reader: inout ObjectReader) -> String? {
    reader.optionalString(
      "publisher",
      55...55,
      allowed: "\"\(PluginManifest.publisherPrefix)\" and the 43 characters of a public key in base64url"
    ) { text in
      text.hasPrefix(PluginManifest.publisherPrefix)
        && text.dropFirst(PluginManifest.publisherPrefix.count).utf8.allSatisfy {
          isAlphanumeric($0) || "-_".utf8.contains($0)
        }
    }
  }

  func artifacts(_ reader: inout ObjectReader, executable: String?) -> [Artifact] {
    var artifacts: [Artifact] = []
    for (place, value) in reader.elements("artifacts", atMost: 8) {
      guard var object = ObjectReader(value, path: place, collector: collector) else { continue }
      let os = object.string("os", 1...20, allowed: "linux") { $0 == "linux" }
      let arch = object.string("arch", 1...20, allowed: "x86_64 | aarch64 | any") {
        ["x86_64", "aarch64", "any"].contains($0)
      }
      let entry = object.string("entry", 1...100, allowed: Artifact.pathRule, where: Artifact.isPath)
      let files = files(&object)
      object.finish()
      guard let os, let arch, let entry else { continue }
      if files[entry] == nil { object.report("entry", "is not in files", came: "\"\(entry)\"") }
      if let executable, entry.split(separator: "/").last.map(String.init) != executable {
        object.report(
          "entry",
          "is not the executable",
          came: "\"\(entry)\"",
          allowed: "a path that ends in \(executable)"
        )
      }
      if artifacts.contains(where: { $0.os == os && ($0.arch == arch || $0.arch == "any" || arch == "any") }) {
        object.report("arch", "repeated", came: "\"\(arch)\"")
        continue
      }
      artifacts.append(Artifact(os: os, arch: arch, entry: entry, files: files))
    }
    checkAgreement(artifacts)
    return artifacts
  }

  private func files(_ artifact: inout ObjectReader) -> [String: String] {
    guard var object = artifact.object("files", required: true) else { return [:] }
    let names = object.names
    guard names.count <= Artifact.maximumFiles else {
      artifact.report("files", "too many", came: "\(names.count)", allowed: "at most \(Artifact.maximumFiles)")
      return [:]
    }
    var files: [String: String] = [:]
    for name in names {
      guard Artifact.isPath(name), name != "manifest.json", name != "manifest.sig" else {
        collector.add(
          artifact.place("files"),
          "bad path",
          came: JSONValue.string(name).shown,
          allowed: Artifact.pathRule
        )
        continue
      }
      let digest = object.string(name, 71...71, allowed: "sha256: and 64 lower-case hexadecimal digits") { text in
        text.hasPrefix("sha256:")
          && text.dropFirst(7).utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
      }
      if let digest { files[name] = String(digest.dropFirst(7)) }
    }
    for name in files.keys.sorted() {
      var parent = name[...]
      while let slash = parent.lastIndex(of: "/") {
        parent = parent[..<slash]
        if files[String(parent)] != nil {
          collector.add(artifact.place("files"), "a file is a folder too", came: "\"\(parent)\"")
        }
      }
    }
    return files
  }

  /// One path means one content, whichever artifact names it, and all together stay below the limit.
  private func checkAgreement(_ artifacts: [Artifact]) {
    var all: [String: String] = [:]
    for artifact in artifacts {
      for (path, digest) in artifact.files where all.updateValue(digest, forKey: path).map({ $0 != digest }) ?? false {
        collector.add("artifacts", "two artifacts give one path different contents", came: "\"\(path)\"")
      }
    }
    if all.count > Artifact.maximumFiles {
      collector.add("artifacts", "too many files", came: "\(all.count)", allowed: "at most \(Artifact.maximumFiles)")
    }
  }

  func runtime(_ reader: inout ObjectReader) -> Runtime? {
    guard var object = reader.object("runtime") else { return nil }
    let interpreter = object.string("interpreter", 2...200, allowed: Runtime.pathRule, where: Runtime.isPath)
    let readPaths = object.strings("readPaths", atMost: 16, allowed: Runtime.pathRule, where: Runtime.isPath)
    object.finish()
    return interpreter.map { Runtime(interpreter: $0, readPaths: readPaths) }
  }

  func icon(_ reader: inout ObjectReader) -> Icon? {
    guard var object = reader.object("icon") else { return nil }
    let path = object.string("path", 1...4_096, allowed: "path data of SVG: commands, numbers, spaces and commas") {
      $0.utf8.allSatisfy { "MmLlHhVvCcSsQqTtAaZz0123456789.,+-eE ".utf8.contains($0) }
    }
    let color = object.string("color", 7...7, allowed: Self.colorRule, where: Self.isColor)
    object.finish()
    guard let path, let color else { return nil }
    return Icon(path: path, color: color)
  }

  func preview(_ reader: inout ObjectReader) -> PreviewLook? {
    guard var object = reader.object("preview") else { return nil }
    let shape = object.choice("shape", PreviewLook.Shape.self)
    let avatar = object.choice("avatar", default: PreviewLook.Avatar.round)
    let accent = object.optionalString("accent", 7...7, allowed: Self.colorRule, where: Self.isColor)
    object.finish()
    return shape.map { PreviewLook(shape: $0, avatar: avatar, accent: accent) }
  }

  func links(_ reader: inout ObjectReader) -> ManifestLinks {
    guard var object = reader.object("links") else { return ManifestLinks(status: nil, docs: nil, support: nil) }
    let allowed = "an address that begins with https://"
    func address(_ name: String) -> String? {
      object.optionalString(name, 12...300, allowed: allowed) { text in
        text.hasPrefix("https://") && text.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"\"<>\\^`{|}".utf8.contains($0) }
      }
    }
    let (status, docs, support) = (address("status"), address("docs"), address("support"))
    object.finish()
    return ManifestLinks(status: status, docs: docs, support: support)
  }

  func postAddresses(_ reader: inout ObjectReader) -> [PostAddress] {
    reader.strings("postAddresses", atMost: 16, allowed: PostAddress.rule) { PostAddress($0) != nil }
      .compactMap { PostAddress($0) }
  }

  func configuration(_ reader: inout ObjectReader) -> [ConfigurationName] {
    let allowed = "capital letters, digits and _, at most 60, a letter first, not ROSTRUM_"
    var names: [ConfigurationName] = []
    for (place, value) in reader.elements("configuration", atMost: 16) {
      guard var object = ObjectReader(value, path: place, collector: collector) else { continue }
      let name = object.string("name", 1...60, allowed: allowed, where: Self.isVariable)
      let label = object.string("label", 1...120)
      let isSecret = object.flag("secret")
      object.finish()
      guard let name, let label else { continue }
      if names.contains(where: { $0.name == name }) {
        object.report("name", "repeated", came: "\"\(name)\"")
        continue
      }
      names.append(ConfigurationName(name: name, label: label, isSecret: isSecret))
    }
    return names
  }

  func hashtags(_ reader: inout ObjectReader) -> ClosedRange<Int>? {
    guard var object = reader.object("hashtags") else { return nil }
    let minimum = object.integer("min", 0...100)
    let maximum = object.integer("max", 0...100)
    object.finish()
    guard let minimum, let maximum else { return nil }
    guard minimum <= maximum else {
      object.report("max", "below min", came: "\(maximum)", allowed: "\(minimum) or more")
      return nil
    }
    return minimum...maximum
  }

  func apiVersion(_ reader: inout ObjectReader) -> APIVersion? {
    guard var object = reader.object("apiVersion") else { return nil }
    let name = object.string("name", 1...40)
    let sunset = object.optionalString("sunset", 10...10, allowed: "a day such as 2027-01-31", where: Self.isDay)
    object.finish()
    return name.map { APIVersion(name: $0, sunset: sunset) }
  }

  // MARK: Words

  static let colorRule = "a colour as # and six lower-case hexadecimal digits"

  static func isColor(_ text: String) -> Bool {
    text.hasPrefix("#") && text.utf8.count == 7
      && text.utf8.dropFirst().allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }

  static func isVariable(_ text: String) -> Bool {
    guard let first = text.utf8.first, (65...90).contains(first), !text.hasPrefix("ROSTRUM_") else { return false }
    return text.utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "_") }
  }

  private static func isDay(_ text: String) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts.map(\.utf8.count) == [4, 2, 2] else { return false }
    let numbers = parts.map { part in part.utf8.allSatisfy { (48...57).contains($0) } ? Int(part) : nil }
    guard let year = numbers[0], let month = numbers[1], let day = numbers[2], year >= 2000, (1...12).contains(month)
    else { return false }
    let isLeap = year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return (1...lengths[month - 1]).contains(day)
  }
}
