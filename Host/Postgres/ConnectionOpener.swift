internal import CPostgres
internal import Glibc

/// Opens connections of libpq step by step, which tells the reason of a refusal apart by its SQLSTATE.
package enum ConnectionOpener {
  /// Returns an open connection, which the caller owns.
  static func open(_ configuration: Configuration) throws(PostgresError) -> OpaquePointer {
    let keywords = configuration.connectionKeywords
    let started = unsafe withCStringArray(keywords.map(\.name)) { names in
      unsafe withCStringArray(keywords.map(\.value)) { values in
        unsafe PQconnectStartParams(names, values, 1)
      }
    }
    guard let connection = unsafe started else {
      throw PostgresError(.connection, "No memory for a connection")
    }
    // The verbose form carries the SQLSTATE.
    unsafe PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
    let isInTime = unsafe poll(connection, until: ContinuousClock.now + configuration.connectTimeout)
    guard isInTime, unsafe PQstatus(connection) == CONNECTION_OK else {
      let error = unsafe isInTime ? failure(connection, configuration) : timeout(configuration)
      unsafe PQfinish(connection)
      throw error
    }
    unsafe PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
    return unsafe connection
  }

  /// Drives the connection until it is open or refused; returns false when the time is over.
  private static func poll(_ connection: OpaquePointer, until deadline: ContinuousClock.Instant) -> Bool {
    var wanted = PGRES_POLLING_WRITING
    while unsafe PQstatus(connection) != CONNECTION_BAD {
      let left = (deadline - ContinuousClock.now).wholeMilliseconds
      guard left > 0 else { return false }
      let events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT
      var descriptor = pollfd(fd: unsafe PQsocket(connection), events: Int16(events), revents: 0)
      guard unsafe Glibc.poll(&descriptor, 1, Int32(clamping: left)) != 0 else { return false }
      wanted = unsafe PQconnectPoll(connection)
      if wanted == PGRES_POLLING_OK || wanted == PGRES_POLLING_FAILED { return true }
    }
    return true
  }

  private static func timeout(_ configuration: Configuration) -> PostgresError {
    PostgresError(.connection, "Cannot connect to \(configuration): no answer in time")
  }

  private static func failure(_ connection: OpaquePointer, _ configuration: Configuration) -> PostgresError {
    let text = unsafe PQerrorMessage(connection).map { unsafe String(cString: $0) } ?? ""
    let (reason, state) = ConnectionOpener.reason(in: text)
    var error = PostgresError(.connection, "Cannot connect to \(configuration): \(configuration.redacted(reason))")
    error.sqlState = state
    return error
  }

  /// Takes the reason and the SQLSTATE out of what libpq says, which may be one line for each address it tried.
  package static func reason(in text: String) -> (reason: String, sqlState: String?) {
    var state: String?
    let lines = text.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }.map { line in
      let parts = String(line.drop { $0 == "\t" || $0 == " " }).split(separator: ": ", omittingEmptySubsequences: false)
      return parts.filter { part in
        let word = part.drop { $0 == " " }
        guard word.utf8.count == 5, word.utf8.contains(where: { (0x30...0x39).contains($0) }),
          word.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) })
        else { return true }
        state = String(word)
        return false
      }.joined(separator: ": ")
    }
    return (lines.joined(separator: "; "), state)
  }
}

/// Calls the body with a NULL-terminated array of C strings.
private func withCStringArray<Result>(
  _ strings: [String],
  _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  var bytes: [CChar] = []
  var offsets: [Int] = []
  for string in strings {
    offsets.append(bytes.count)
    bytes += string.utf8.map { CChar(bitPattern: $0) }
    bytes.append(0)
  }
  return unsafe bytes.withUnsafeBufferPointer { buffer in
    unsafe withUnsafeTemporaryAllocation(
      of: UnsafePointer<CChar>?.self,
      capacity: offsets.count + 1
    ) { pointers in
      for (index, offset) in offsets.enumerated() {
        unsafe pointers.initializeElement(at: index, to: buffer.baseAddress.map { unsafe $0 + offset })
      }
      unsafe pointers.initializeElement(at: offsets.count, to: nil)
      guard let base = pointers.baseAddress else { preconditionFailure("The allocation is not empty") }
      return unsafe body(base)
    }
  }
}
