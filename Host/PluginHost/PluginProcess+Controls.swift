internal import Dispatch
internal import PluginProtocol
internal import PluginTransport
internal import Synchronization

/// Requests of the host that belong to no call.
extension PluginProcess {
  /// Asks whether the plugin lives; `report` is called once, with what is wrong or nil.
  func probe(within limit: Duration, report: @escaping @Sendable (_ problem: String?) -> Void) {
    let number = ask(.probe(report), CheckHealthRequest.method, CheckHealthRequest())
    let delay = Double(limit.wholeMilliseconds) / 1_000
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { @Sendable [weak self] in
      guard let self, self.state.withLock({ $0.controls.removeValue(forKey: number) }) != nil else { return }
      report("it did not answer health/check within \(limit)")
    }
  }

  func sayDrain() {
    _ = ask(.drain, DrainRequest.method, DrainRequest())
  }

  func sayShutdown() {
    _ = ask(.shutdown, ShutdownRequest.method, ShutdownRequest())
  }

  func ask(_ control: Control, _ method: String, _ params: some WireValue) -> Int64 {
    let number = numbers.next()
    state.withLock { $0.controls[number] = control }
    send(Frame.request(id: number, method: method, params: params))
    return number
  }

  /// Takes an answer that belongs to no call; false when it is none.
  func takeControl(_ number: Int64, error: ProtocolError?) -> Bool {
    guard let control = state.withLock({ $0.controls.removeValue(forKey: number) }) else { return false }
    switch control {
    case .health, .shutdown: break
    case .probe(let report): report(error.map { "it answered health/check with an error: \($0)" })
    case .drain: report(.drained)
    }
    return true
  }
}
