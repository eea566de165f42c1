/// A way out of a jail that the probe tries.
package enum EscapeAttempt: String, Sendable, CaseIterable {
  /// To use a descriptor that was left open.
  case descriptors
  /// To open a socket of any network, connect or listen.
  case internet
  /// To connect to a listening unix socket, like the one of the database.
  case unixSocket = "unix-socket"
  case abstractSocket = "abstract-socket"
  /// To read files that everybody may read.
  case readFile = "read-file"
  /// To read the host's environment or memory.
  case readProcess = "read-process"
  /// To trace the host or take its descriptors.
  case trace
  /// To signal or limit the host.
  case signal
  /// To execute another program, from a file or from memory.
  case execute
  /// To start a process, by any system call.
  case fork
  /// To get a namespace, a mount, a root or a user of its own.
  case namespaces
  /// To make, change or remove a file that everybody may write.
  case writeFile = "write-file"
  /// To use interfaces that reach deep into the kernel: io_uring, bpf, perf, keys, userfaultfd, shared memory.
  case kernel
  /// To make system calls by the numbers of another kind of machine.
  case foreignCalls = "foreign-calls"
}
