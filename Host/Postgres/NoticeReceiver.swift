internal import CPostgres
internal import Logging

/// Writes the server's notices to the log.
@safe final class NoticeReceiver: Sendable {
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
  }

  /// Takes the notices of a connection, which must not outlive the receiver.
  func install(on connection: OpaquePointer) {
    unsafe PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(self).toOpaque())
  }

  fileprivate func receive(_ result: OpaquePointer) {
    let state = unsafe ServerMessage.field(result, CPostgres_sqlState) ?? ""
    logger.debug(
      "Notice from PostgreSQL",
      [
        "notice": .string(unsafe ServerMessage.message(result, state: state)),
        "severity": .string(unsafe ServerMessage.field(result, CPostgres_severity) ?? ""),
        "sqlState": .string(state),
      ]
    )
  }
}

/// Called by libpq on the thread that uses the connection.
private func receiveNotice(_ context: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
  guard let context = unsafe context, let result = unsafe result else { return }
  unsafe Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue().receive(result)
}
