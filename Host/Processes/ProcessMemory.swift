internal import CHostShims

/// The memory of this process.
package enum ProcessMemory {
  /// Makes blocks of at least 256 KiB go back to the kernel when they are freed. To be called once, at the start.
  ///
  /// Left alone, the allocator takes large blocks from the heap after the first one was freed, and one bundle that was
  /// packed at the start costs several MB for ever.
  package static func returnLargeBlocks() {
    CHostShims_return_blocks_from(256 * 1_024)
  }
}
