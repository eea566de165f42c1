package import JSONText
package import PluginProtocol

/// One open call of a plugin.
///
/// One task at a time takes the messages with `next`; requests may be answered by any task, in any order.
package final class PluginCall: Sendable {
  /// The call's name on the wire, such as `c12`; unique in this process.
  package let id: String
  /// Version of the plugin that answers.
  package let pluginVersion: String
  let number: Int64
  /// What it is done for.
  let job: String?
  private let mailbox = Mailbox()
  private let process: PluginProcess
  private let onEnd: (@Sendable (PluginMessage) -> Void)?

  /// - Parameter onEnd: Called when the plugin answered or gave up the call, not when the process died under it.
  init(
    number: Int64,
    process: PluginProcess,
    pluginVersion: String,
    job: String? = nil,
    onEnd: (@Sendable (PluginMessage) -> Void)? = nil
  ) {
    self.number = number
    id = "c\(number)"
    self.process = process
    self.pluginVersion = pluginVersion
    self.job = job
    self.onEnd = onEnd
  }

  /// Whether its last message has not come yet.
  var isOpen: Bool { mailbox.isOpen }

  func deliver(_ message: PluginMessage) {
    mailbox.deliver(message)
    if let onEnd, message.isLast, !message.isCrash { onEnd(message) }
  }

  /// Waits for the next message. The last message is returned again by every later call.
  ///
  /// Cancelling the task cancels the call, whose last message then comes within two seconds.
  package func next() async -> PluginMessage {
    if let message = mailbox.take() { return message }
    return await withTaskCancellationHandler {
      await mailbox.wait()
    } onCancel: {
      cancel()
    }
  }

  /// Answers a request. Without effect when the plugin is gone.
  package func answer(_ request: PluginRequest, result: RawJSON) {
    process.answer(request.id, result: result)
  }

  /// Answers a request with an error.
  package func refuse(_ request: PluginRequest, error: ProtocolError) {
    process.refuse(request.id, error: error)
  }

  /// Tells the plugin something that it does not answer. Without effect when the plugin is gone.
  package func notify(_ method: String, params: RawJSON) {
    process.notify(method, params: params)
  }

  /// Asks the plugin to give the call up. Its last message comes within two seconds; a result that is on its way is
  /// still delivered.
  package func cancel() {
    process.cancel(number)
  }
}
