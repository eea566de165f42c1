internal import Glibc

/// The room on the disk of a folder.
enum DiskSpace {
  /// Bytes that are free for this host, and bytes in all; nil when the folder can not be asked.
  static func of(_ folder: String) -> (free: UInt64, total: UInt64)? {
    var status = statvfs()
    guard unsafe statvfs(folder, &status) == 0 else { return nil }
    let (free, isTooMuch) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    let (total, isTooLarge) = UInt64(status.f_blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return isTooMuch || isTooLarge || total == 0 ? nil : (free, total)
  }
}
