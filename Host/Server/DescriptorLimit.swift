internal import Glibc
internal import Logging

/// How many descriptors this process may have open.
enum DescriptorLimit {
  /// Raises the limit as far as the system allows without asking anybody: many clients, plugins and database sessions
  /// need more than the usual 1,024. Plugins get the limit of their manifests.
  static func raise(_ logger: Logger) {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
    else { return }
    let before = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return logger.warning("The limit of descriptors stays as it is", ["errno": .int(Int(errno))])
    }
    logger.debug("Raised the limit of descriptors", ["from": "\(before)", "to": "\(limit.rlim_max)"])
  }
}
