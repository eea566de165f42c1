import Cryptography
import HTTPClient
import JSONText
import Logging
import PluginManifest

/// Takes out of one answer what the rule captures, and puts handles in its place.
struct CaptureReader {
  let rule: EgressRule
  let step: String
  /// Where the request went, before the operator's overrides.
  let target: TargetURL
  let policy: AddressPolicy

  /// What is left of an answer.
  struct Reading {
    var body: [UInt8]
    var headers: ResponseHeaders
    var captures: [CapturedValue] = []
  }

  /// Elements of a list that are looked at; the rest is dropped with what it holds.
  private static let maximumElements = 256

  /// Headers that carry a handle, whether or not the rule exposes them.
  var capturedHeaders: [String] {
    rule.captures.compactMap { if case .header(let name) = $0.source { name } else { nil } }
  }

  func read(_ response: Response) -> Reading {
    var reading = Reading(body: response.body, headers: response.headers)
    let isError = response.status >= 400
    guard !rule.captures.isEmpty || rule.returns != nil else { return reading }
    let json = response.truncated ? nil : AnswerText.json(response.body)
    let edit = JSONEdit()
    if !isError {
      for clause in rule.captures {
        switch clause.source {
        case .header(let name): capture(clause, header: name, &reading)
        case .pointer(let pointer):
          guard let json else { continue }
          for (path, value, label) in places(clause, pointer, json) {
            edit.replace(path, with: capture(clause, value, label, &reading))
          }
        }
      }
    }
    if let returns = rule.returns {
      for pointer in returns + (isError ? ["/error", "/error_description", "/error_uri"] : []) {
        edit.keep(JSONPointer.names(pointer))
      }
      reading.body = json.map { Array(edit.picked(from: $0).bytes) } ?? []
    } else if let json {
      reading.body = Array(edit.applied(to: json).bytes)
    } else if !isError, rule.captures.contains(where: { if case .pointer = $0.source { true } else { false } }) {
      // An answer that cannot be read may hold what should have been captured, so nothing of it is passed on.
      reading.body = []
    }
    return reading
  }

  // MARK: Places

  private typealias Place = (path: [String], value: RawJSON, label: String?)

  private func places(_ clause: CaptureClause, _ pointer: String, _ json: RawJSON) -> [Place] {
    let names = JSONPointer.names(pointer)
    guard let list = clause.list else {
      return json.pointer(pointer).map { [(names, $0, nil)] } ?? []
    }
    // Anything but a list holds no elements.
    guard let elements = try? json.pointer(list)?.array() else { return [] }
    let above = list.isEmpty ? [] : JSONPointer.names(list)
    var places: [Place] = []
    for (index, element) in elements.enumerated() {
      guard let value = element.pointer(pointer) else { continue }
      let label = clause.label.flatMap { self.label(element.pointer("/" + $0)) } ?? String(index)
      places.append((above + [String(index)] + names, value, index < Self.maximumElements ? label : nil))
    }
    return places
  }

  /// An id as part of a handle; nil for what does not fit into one.
  private func label(_ value: RawJSON?) -> String? {
    guard let value else { return nil }
    // A number stands for itself; other kinds are no ids.
    guard let text = value.kind == .number ? value.text : try? value.string(), (1...64).contains(text.utf8.count),
      text.utf8.allSatisfy({ ASCII.isUnreserved($0) || $0 == UInt8(ascii: ":") })
    else { return nil }
    return text
  }

  // MARK: Values

  /// Keeps a value of the body and returns what stands in its place.
  private func capture(
    _ clause: CaptureClause,
    _ value: RawJSON,
    _ label: String?,
    _ reading: inout Reading
  ) -> RawJSON {
    if clause.list != nil && label == nil { return .null }
    // Anything but text is no token and no address; it is withheld all the same.
    guard let text = try? value.string(), let captured = captured(clause, text, label) else { return .null }
    keep(captured, &reading)
    return RawJSON.object { writer in
      writer.field(clause.kind == .secret ? "$secret" : "$url", captured.handle.description)
    }
  }

  private func capture(_ clause: CaptureClause, header name: String, _ reading: inout Reading) {
    guard let text = reading.headers[name] else { return }
    reading.headers.fields.removeAll { $0.name == name }
    guard let captured = captured(clause, text, nil) else { return }
    keep(captured, &reading)
    reading.headers.fields.append((name, captured.handle.description))
  }

  private func keep(_ captured: CapturedValue, _ reading: inout Reading) {
    reading.captures.removeAll { $0.handle == captured.handle }
    reading.captures.append(captured)
  }

  private func captured(_ clause: CaptureClause, _ text: String, _ label: String?) -> CapturedValue? {
    guard (1...65_536).contains(text.utf8.count) else { return nil }
    let handle = CaptureHandle(step: step, name: label.map { "\(clause.name):\($0)" } ?? clause.name)
    guard clause.kind == .url else { return CapturedValue(handle: handle, kind: .secret, value: Secret(text)) }
    guard let address = address(text, clause.suffixes) else {
      Logger.current.warning(
        "A platform's answer held an upload address outside of the hosts that the manifest names",
        ["rule": LogValue(rule.name)]
      )
      return nil
    }
    return CapturedValue(handle: handle, kind: .url, value: Secret(address.description))
  }

  /// The address in the form that stands for the real platform, if its host is allowed.
  private func address(_ text: String, _ suffixes: [String]) -> TargetURL? {
    // What cannot be read as an address is none.
    guard let url = try? target.resolving(text) else { return nil }
    let original = policy.original(of: url) { CaptureClause.matches(host: $0.host, suffixes: suffixes) }
    guard original.scheme == .https, CaptureClause.matches(host: original.host, suffixes: suffixes) else { return nil }
    return original
  }
}
