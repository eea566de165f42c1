/// Takes the body of an answer while it arrives, in place of collecting it.
///
/// All functions are called on the client's thread, in order, and must not block.
package protocol ResponseReceiver: AnyObject, Sendable {
  /// The header of the final answer is here. False means: collect the body as for any other request.
  func begin(status: Int, headers: ResponseHeaders, control: TransferControl) -> Bool

  /// Bytes of the decompressed body.
  func take(_ bytes: [UInt8]) -> ResponseIntake
}

/// What a receiver did with the bytes it was offered.
package enum ResponseIntake: Sendable {
  case taken
  /// Not taken: reading stops, and after `TransferControl.resume()` the same bytes are offered again.
  case later
  /// Nothing more is wanted; the connection is closed.
  case stop
}

/// Steers a transfer whose body a receiver takes. Without effect once the transfer has ended.
package struct TransferControl: Sendable {
  enum Command: Sendable {
    case resume
    case stop
  }

  private let send: @Sendable (Command) -> Void

  init(send: @escaping @Sendable (Command) -> Void) {
    self.send = send
  }

  /// Offers again what the receiver did not take, and reads on.
  package func resume() { send(.resume) }

  /// Ends the transfer and closes its connection.
  package func stop() { send(.stop) }
}
