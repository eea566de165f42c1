internal import Glibc

/// What the head of a program says about how it wants to be loaded. Reads 64-bit little-endian files.
package struct ELFImage: Sendable, Equatable {
  package enum Problem: Error, Equatable {
    /// Begins with `#!`.
    case script
    case notELF
    case damaged(String)
    case unreadable(Int32)
  }

  /// The dynamic loader; nil for a static program.
  package let loader: String?
  /// Folders of libraries that the program names, with `$ORIGIN` as it stands.
  package let libraryPaths: [String]

  init(loader: String?, libraryPaths: [String]) {
    self.loader = loader
    self.libraryPaths = libraryPaths
  }

  package var isDynamic: Bool { loader != nil }

  private static let headerSize = 64
  private static let programHeaderSize = 56
  private static let maximumText = 4_096
  private static let maximumDynamic = 1 << 16

  /// Reads from a descriptor without moving it; blocking.
  package init(descriptor: Int32) throws(Problem) {
    try self.init { offset, count throws(Problem) in
      var bytes = [UInt8](repeating: 0, count: count)
      guard let place = off_t(exactly: offset) else { throw .damaged("an offset is out of range") }
      let read = unsafe pread(descriptor, &bytes, count, place)
      guard read >= 0 else { throw .unreadable(errno) }
      return Array(bytes.prefix(read))
    }
  }

  /// Reads through a closure that returns up to that many bytes from an offset; fewer at the end of the file.
  package init(read: (UInt64, Int) throws(Problem) -> [UInt8]) throws(Problem) {
    let header = try read(0, Self.headerSize)
    if header.starts(with: [0x23, 0x21]) { throw .script }
    guard header.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else { throw .notELF }
    guard header.count == Self.headerSize, header[4] == 2, header[5] == 1 else {
      throw .damaged("only 64-bit little-endian programs can be executed")
    }
    guard Self.number(header, 54, 2) == UInt64(Self.programHeaderSize) else { throw .damaged("odd program headers") }
    let count = Int(Self.number(header, 56, 2))
    let table = try read(Self.number(header, 32, 8), count * Self.programHeaderSize)
    guard table.count == count * Self.programHeaderSize else { throw .damaged("the program headers are cut off") }
    let segments = (0..<count).map { Segment(table[($0 * Self.programHeaderSize)...].prefix(Self.programHeaderSize)) }

    guard let interpreter = segments.first(where: { $0.kind == 3 }) else {
      loader = nil
      libraryPaths = []
      return
    }
    let bytes = try read(interpreter.offset, Int(min(interpreter.fileSize, UInt64(Self.maximumText))))
    loader = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    libraryPaths = try Self.libraryPaths(segments, read)
  }

  private struct Segment {
    let kind: UInt64
    let offset: UInt64
    let address: UInt64
    let fileSize: UInt64

    init(_ bytes: ArraySlice<UInt8>) {
      let bytes = Array(bytes)
      kind = ELFImage.number(bytes, 0, 4)
      offset = ELFImage.number(bytes, 8, 8)
      address = ELFImage.number(bytes, 16, 8)
      fileSize = ELFImage.number(bytes, 32, 8)
    }
  }

  private static func libraryPaths(
    _ segments: [Segment],
    _ read: (UInt64, Int) throws(Problem) -> [UInt8]
  ) throws(Problem) -> [String] {
    guard let dynamic = segments.first(where: { $0.kind == 2 }) else { return [] }
    let entries = try read(dynamic.offset, Int(min(dynamic.fileSize, UInt64(maximumDynamic))))
    var texts: UInt64?
    var paths: [UInt64] = []
    for start in stride(from: 0, to: entries.count - 15, by: 16) {
      let value = number(entries, start + 8, 8)
      switch number(entries, start, 8) {
      case 5: texts = value
      case 15, 29: paths.append(value)
      default: continue
      }
    }
    guard let texts, !paths.isEmpty else { return [] }
    // The table of texts is named by its address in memory.
    guard
      let segment = segments.first(where: { $0.kind == 1 && $0.address <= texts && texts - $0.address < $0.fileSize })
    else { throw .damaged("the texts are in no segment") }
    let (base, overflow) = segment.offset.addingReportingOverflow(texts - segment.address)
    guard !overflow else { throw .damaged("an offset is out of range") }
    var found: [String] = []
    for path in paths {
      let (place, overflow) = base.addingReportingOverflow(path)
      guard !overflow else { throw .damaged("an offset is out of range") }
      let bytes = try read(place, maximumText)
      found += String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).split(separator: ":").map(String.init)
    }
    return found
  }

  /// A little-endian number; the caller has checked the bounds.
  private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
    bytes[start..<(start + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
