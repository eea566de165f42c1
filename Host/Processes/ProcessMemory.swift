internal import CHostShims
internal import Glibc

/// The memory of this process.
package enum ProcessMemory {
  /// Makes blocks of at least 256 KiB go back to the kernel when they are freed. To be called once, at the start.
  ///
  /// Left alone, the allocator takes large blocks from the heap after the first one was freed, and one bundle that was
  /// packed at the start costs several MB for ever.
  package static func returnLargeBlocks() {
    CHostShims_return_blocks_from(256 * 1_024)
  }

  /// Keeps the memory of this process and of all that it starts out of core dumps: it holds keys and tokens.
  ///
  /// One byte instead of none: with none the kernel still hands a whole dump to a program that collects them (core(5)).
  /// - Returns: whether the system took the limit.
  package static func forbidDumps() -> Bool {
    var limit = rlimit(rlim_cur: 1, rlim_max: 1)
    return unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit) == 0
  }
}
