internal import Cryptography
internal import Glibc

/// Digests of files that were hashed by an earlier process, so that a start hashes only what changed. Blocking.
///
/// The file only saves time: one that is missing or damaged means that more is hashed. It lies in a folder that only
/// the host's user can write, as the bundles themselves do.
enum DigestMemory {
  private static let head = "rostrum-digests/1"
  private static let limit = 4 << 20

  static func read(_ path: String) -> [FileDigests.Stamp: [UInt8]] {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard opened >= 0 else { return [:] }
    defer { close(opened) }
    var status = stat()
    guard unsafe fstat(opened, &status) == 0, status.st_mode & 0o022 == 0, status.st_uid == geteuid(),
      status.st_size <= limit
    else { return [:] }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = unsafe pread(opened, &bytes, bytes.count, 0)
    guard count == bytes.count else { return [:] }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    guard lines.first.map(String.init) == head else { return [:] }
    var known: [FileDigests.Stamp: [UInt8]] = [:]
    for line in lines.dropFirst() {
      let words = line.split(separator: " ")
      guard words.count == 6, let device = UInt64(words[0]), let inode = UInt64(words[1]), let size = Int64(words[2]),
        let seconds = Int64(words[3]), let nanoseconds = Int64(words[4]), let digest = Hex.decode(String(words[5])),
        digest.count == SHA256.byteCount
      else { return [:] }
      let stamp = FileDigests.Stamp(
        device: device,
        inode: inode,
        size: size,
        changedSeconds: seconds,
        changedNanoseconds: nanoseconds
      )
      known[stamp] = digest
    }
    return known
  }

  static func write(_ known: [FileDigests.Stamp: [UInt8]], to path: String) throws(StoreError) {
    var text = head + "\n"
    for (stamp, digest) in known {
      text += "\(stamp.device) \(stamp.inode) \(stamp.size) \(stamp.changedSeconds) \(stamp.changedNanoseconds) "
      text += Hex.encode(digest) + "\n"
    }
    let temporary = "\(path).new-\(getpid())"
    let opened = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw StoreError(.io, "\(path) can not be written: \(reason(errno))") }
    defer { close(opened) }
    let bytes = Array(text.utf8)
    guard unsafe Glibc.write(opened, bytes, bytes.count) == bytes.count, unsafe rename(temporary, path) == 0 else {
      throw StoreError(.io, "\(path) can not be written: \(reason(errno))")
    }
  }
}
