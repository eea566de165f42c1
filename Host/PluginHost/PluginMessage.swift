package import JSONText

/// What a call brings, one after the other.
package enum PluginMessage: Sendable, Equatable {
  /// The plugin asks the host for something and waits for the answer.
  case request(PluginRequest)
  /// The call's result. Nothing follows.
  case result(RawJSON)
  /// The call has no result. Nothing follows.
  case failed(PluginFailure)

  /// Whether nothing follows.
  package var isLast: Bool {
    switch self {
    case .request: false
    case .result, .failed: true
    }
  }

  /// Whether the call ended because the process did.
  var isCrash: Bool {
    if case .failed(let failure) = self { failure.isCrash } else { false }
  }
}

/// A request of a plugin, made for one of the host's calls.
package struct PluginRequest: Sendable, Equatable {
  /// The plugin's number for it.
  package let id: Int64
  package let method: String
  /// An object, with the member `call`.
  package let params: RawJSON

  package init(id: Int64, method: String, params: RawJSON) {
    self.id = id
    self.method = method
    self.params = params
  }
}
