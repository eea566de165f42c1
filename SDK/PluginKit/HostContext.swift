public import JSONText
public import PluginProtocol

/// A context that can ask the host for something.
public protocol HostContext: Sendable {
  /// The services of the host, bound to the running call.
  var host: HostServices { get }
}

extension HostContext {
  /// Asks the host for one HTTP request by a rule of the manifest.
  ///
  /// Any complete answer is returned, whatever its status. `step` names the request within the job and is required for
  /// prepare and commit rules: a finished step answers from the journal when the code runs again.
  ///
  /// - Throws: what the host says if there was no complete answer or the request is not allowed; let it pass.
  public func http(
    rule: String,
    step: String? = nil,
    path: [String: String] = [:],
    query: [String: String] = [:],
    headers: [String: String] = [:],
    body: HTTPBody = .none,
    timeout: Duration? = nil,
    captures: [String: String] = [:]
  ) async throws(PlatformError) -> HTTPAnswer {
    try await host.http(
      PerformHTTPRequest(
        call: host.call,
        rule: rule,
        step: step,
        path: path,
        query: query,
        headers: headers,
        body: body,
        timeoutMs: timeout.map(HostServices.milliseconds),
        captures: captures
      )
    )
  }

  /// Asks the host for one HTTP request by a rule with `stream`, whose answer comes event by event.
  ///
  /// - Throws: what the host says if there was no answer or the request is not allowed; let it pass.
  public func stream(
    rule: String,
    step: String? = nil,
    path: [String: String] = [:],
    query: [String: String] = [:],
    headers: [String: String] = [:],
    body: HTTPBody = .none,
    timeout: Duration? = nil
  ) async throws(PlatformError) -> HTTPStreamAnswer {
    try await host.open(
      PerformHTTPRequest(
        call: host.call,
        rule: rule,
        step: step,
        path: path,
        query: query,
        headers: headers,
        body: body,
        timeoutMs: timeout.map(HostServices.milliseconds)
      )
    )
  }

  /// The same with a JSON body written as a literal; its keys are sorted.
  public func http(
    rule: String,
    step: String? = nil,
    path: [String: String] = [:],
    query: [String: String] = [:],
    headers: [String: String] = [:],
    json: JSONLiteral,
    timeout: Duration? = nil,
    captures: [String: String] = [:]
  ) async throws(PlatformError) -> HTTPAnswer {
    try await http(
      rule: rule,
      step: step,
      path: path,
      query: query,
      headers: headers,
      body: .json(json.json),
      timeout: timeout,
      captures: captures
    )
  }

  /// Writes a line to the host's log; put what varies into `fields`, and no secrets anywhere.
  public func log(_ level: LogLevel, _ message: String, _ fields: [String: String] = [:]) {
    host.log(level, message, fields)
  }
}
