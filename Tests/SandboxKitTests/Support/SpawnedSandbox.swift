import Glibc

/// The program as a child process, with its stdin and stdout in pipes.
final class SpawnedSandbox {
  struct Failure: Error {
    let what: String
  }

  let process: pid_t
  private var input: Int32
  private let output: Int32

  init(_ arguments: [String]) throws {
    // The executable lies beside the test bundle.
    let bundle = CommandLine.arguments[0]
    let folder = bundle.lastIndex(of: "/").map { String(bundle[..<$0]) } ?? "."
    let program = "\(folder)/rostrum-sandbox"
    var inputPipe: [Int32] = [0, 0]
    var outputPipe: [Int32] = [0, 0]
    guard unsafe pipe(&inputPipe) == 0, unsafe pipe(&outputPipe) == 0 else { throw Failure(what: "pipe") }
    // Other tests start processes too: they must not hold these pipes open, nor this one theirs.
    for descriptor in inputPipe + outputPipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, inputPipe[0], STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, outputPipe[1], STDOUT_FILENO)
    for descriptor: Int32 in 3..<1_000 { unsafe posix_spawn_file_actions_addclose(&actions, descriptor) }
    var pid: pid_t = 0
    var texts = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    let status = unsafe posix_spawn(&pid, program, &actions, nil, &texts, environ)
    for index in unsafe texts.indices { unsafe free(texts[index]) }
    close(inputPipe[0])
    close(outputPipe[1])
    input = inputPipe[1]
    output = outputPipe[0]
    process = pid
    guard status == 0 else { throw Failure(what: "\(program): \(status)") }
  }

  deinit {
    closeInput()
    close(output)
  }

  func closeInput() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// The first line on stdout; shorter when the program ends before.
  func firstLine() -> String {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while unsafe read(output, &byte, 1) == 1, byte != 10 { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  /// Waits for the end: the exit status, or the signal as a negative number.
  func exitStatus() -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) == -1 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
  }
}
