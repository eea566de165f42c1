import Glibc

/// Keeps the message stream apart from everything else that prints.
enum StandardStreams {
  /// The two ends of the message stream.
  struct Pipes {
    let input: Int32
    let output: Int32
  }

  /// Moves stdin and stdout out of the way: later reads of stdin find nothing, later prints land on stderr.
  ///
  /// Must run before anything prints. Nil if the system refuses.
  static func takeOver() -> Pipes? {
    signal(SIGPIPE, SIG_IGN)
    let input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)
    let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10)
    let nothing = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    guard input >= 0, output >= 0 else { return nil }
    // In a jail without /dev/null, stdin is closed instead, which also reads as nothing.
    if nothing >= 0 {
      dup2(nothing, STDIN_FILENO)
      close(nothing)
    } else {
      close(STDIN_FILENO)
    }
    guard dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 else { return nil }
    return Pipes(input: input, output: output)
  }

  /// Writes a text to stderr.
  static func printError(_ text: String) {
    let bytes = Array(text.utf8)
    // Nothing can be done about a lost message to a person.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
