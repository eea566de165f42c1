/// The operations of one kind that one statement does.
protocol BatchGroup: Sendable {
  var count: Int { get }
  var statement: SQL { get }
  /// The number of each operation's submission, rising; operations submitted together have the same.
  var tickets: [UInt64] { get }

  /// The operations with tickets in the range, or nil when there are none.
  func part(tickets range: Range<UInt64>) -> (any BatchGroup)?

  /// Resumes every caller with its outcome.
  func complete(_ rows: [Row])
  /// Resumes every caller with the error.
  func fail(_ error: PostgresError)
}

/// Whoever waits for the outcome of an operation.
enum BatchCaller<Output: Sendable>: Sendable {
  case task(CheckedContinuation<Output, any Error>)
  case pair(@Sendable (Result<Output, any Error>) -> Void)

  func resume(returning output: Output) {
    switch self {
    case .task(let continuation): continuation.resume(returning: output)
    case .pair(let receive): receive(.success(output))
    }
  }

  func resume(throwing error: any Error) {
    switch self {
    case .task(let continuation): continuation.resume(throwing: error)
    case .pair(let receive): receive(.failure(error))
    }
  }
}

struct BatchGroupOf<Operation: BatchOperation>: BatchGroup {
  var operations: [Operation] = []
  var callers: [BatchCaller<Operation.Output>] = []
  var tickets: [UInt64] = []

  var count: Int { operations.count }

  var statement: SQL { Operation.statement(for: operations) }

  func part(tickets range: Range<UInt64>) -> (any BatchGroup)? {
    // The tickets rise, so the range is one stretch.
    guard let start = tickets.firstIndex(where: { $0 >= range.lowerBound }) else { return nil }
    let end = tickets[start...].firstIndex { $0 >= range.upperBound } ?? count
    return start < end ? part(start..<end) : nil
  }

  func part(_ range: Range<Int>) -> BatchGroupOf {
    BatchGroupOf(
      operations: Array(operations[range]),
      callers: Array(callers[range]),
      tickets: Array(tickets[range])
    )
  }

  func complete(_ rows: [Row]) {
    let outputs: [Operation.Output]
    do {
      outputs = try Operation.outputs(of: rows, for: operations)
    } catch {
      for caller in callers {
        caller.resume(throwing: error)
      }
      return
    }
    guard outputs.count == callers.count else {
      let counts = "\(outputs.count) outcomes for \(callers.count) operations"
      fail(PostgresError(.misuse, "\(Operation.self) gave \(counts)"))
      return
    }
    for (caller, output) in zip(callers, outputs) {
      caller.resume(returning: output)
    }
  }

  func fail(_ error: PostgresError) {
    for caller in callers {
      caller.resume(throwing: error)
    }
  }
}
