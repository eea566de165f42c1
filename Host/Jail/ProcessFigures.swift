internal import Glibc
internal import Processes

/// What a plugin's processes use: the child of the host with its own children, or, where the launcher stays as the
/// child, the program that it started.
///
/// The files of the kernel stay open, because then they answer for these very processes, and cheaply.
struct ProcessFigures {
  private struct Process {
    let memory: OwnedDescriptor
    let times: OwnedDescriptor
  }

  private let root: Int32
  private let launcherStays: Bool
  private var processes: [Int32: Process] = [:]

  /// - Parameter launcherStays: Whether the child is the launcher, which has the first process of the namespace and the
  ///   program as its children, in this order.
  init(of root: Int32, launcherStays: Bool) {
    self.root = root
    self.launcherStays = launcherStays
  }

  /// Sums up what the processes use now; those that have ended use nothing.
  ///
  /// - Parameters:
  ///   - isWhole: Whether to find the processes anew and to count threads and processor time.
  ///   - buffer: Room for a file of the kernel.
  mutating func sample(isWhole: Bool, _ buffer: inout [UInt8]) -> ResourceSample {
    if isWhole { find() }
    var sum = ResourceSample(residentBytes: 0)
    var (cpu, threads) = (Duration.zero, 0)
    for process in processes.values {
      guard let bytes = Self.read(process.memory, &buffer).flatMap({ Self.residentBytes(statm: buffer[..<$0]) }) else {
        continue
      }
      sum.residentBytes = sum.residentBytes.addingReportingOverflow(bytes).partialValue
      guard isWhole, let usage = Self.read(process.times, &buffer).flatMap({ Self.usage(stat: buffer[..<$0]) }) else {
        continue
      }
      cpu += usage.cpu
      threads = max(threads, usage.threads)
    }
    if isWhole { (sum.cpu, sum.threads) = (cpu, threads) }
    return sum
  }

  private mutating func find() {
    let text = SmallFile.read("/proc/\(root)/task/\(root)/children") ?? ""
    let children = text.split(separator: " ").compactMap { Int32($0) }
    let pids = Set(launcherStays ? Array(children.dropFirst()) : [root] + children)
    processes = processes.filter { pids.contains($0.key) }
    for pid in pids where processes[pid] == nil { processes[pid] = Self.open(pid) }
  }

  private static func open(_ pid: Int32) -> Process? {
    let memory = unsafe Glibc.open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
    guard memory >= 0 else { return nil }
    let owned = OwnedDescriptor(adopting: memory)
    let times = unsafe Glibc.open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
    guard times >= 0 else { return nil }
    return Process(memory: owned, times: OwnedDescriptor(adopting: times))
  }

  private static func read(_ file: OwnedDescriptor, _ buffer: inout [UInt8]) -> Int? {
    guard let descriptor = file.rawValue else { return nil }
    let count = unsafe pread(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? count : nil
  }

  // MARK: Texts of the kernel

  /// The second number of `/proc/<pid>/statm`, which counts pages.
  static func residentBytes(statm: ArraySlice<UInt8>, pageSize: Int64 = Int64(sysconf(Int32(_SC_PAGESIZE)))) -> Int64? {
    guard let pages = number(1, in: statm) else { return nil }
    let (bytes, overflow) = pages.multipliedReportingOverflow(by: pageSize)
    return overflow ? nil : bytes
  }

  /// Processor time and threads in `/proc/<pid>/stat`.
  static func usage(
    stat: ArraySlice<UInt8>,
    ticksPerSecond: Int = sysconf(Int32(_SC_CLK_TCK))
  ) -> (cpu: Duration, threads: Int)? {
    // The name may hold anything. After it comes a space and the third field.
    guard let end = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = stat[end...].dropFirst(2)
    guard let user = number(11, in: fields), let system = number(12, in: fields), let threads = number(17, in: fields),
      ticksPerSecond > 0
    else { return nil }
    let (ticks, overflow) = user.addingReportingOverflow(system)
    guard !overflow, ticks <= .max / 1_000 else { return nil }
    return (.milliseconds(ticks * 1_000 / Int64(ticksPerSecond)), Int(threads))
  }

  /// The field of that number, from 0, if it holds digits alone.
  private static func number(_ field: Int, in text: ArraySlice<UInt8>) -> Int64? {
    var (field, value, digits) = (field, Int64(0), 0)
    for byte in text {
      if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") {
        if field == 0 { break }
        field -= 1
      } else if field == 0 {
        guard (48...57).contains(byte) else { return nil }
        let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, isTooLarge) = tens.addingReportingOverflow(Int64(byte) - 48)
        guard !overflow, !isTooLarge else { return nil }
        value = sum
        digits += 1
      }
    }
    return digits > 0 ? value : nil
  }
}
