import JSONDocument
import Server

/// `rostrum doctor`
enum DoctorCommand {
  static let command = Command(
    words: ["doctor"],
    summary: "Check everything that a host needs; ends with 1 when something fails"
  ) { invocation in
    let findings = await Doctor(try invocation.configuration(), logger: invocation.quietLogger).examine()
    invocation.show(["findings": .array(findings.map(json))]) {
      let width = findings.map(\.subject.count).max() ?? 0
      for finding in findings { show(finding, width, invocation.terminal) }
    }
    return findings.contains { $0.level == .fail } ? .failure : .success
  }

  private static func show(_ finding: Doctor.Finding, _ width: Int, _ terminal: Terminal) {
    let style: Terminal.Style =
      switch finding.level {
      case .ok: .green
      case .warn: .yellow
      case .fail: .red
      }
    let level = finding.level.rawValue + String(repeating: " ", count: 4 - finding.level.rawValue.count)
    let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
    terminal.print("\(terminal.styled(level, style))  \(subject)  \(finding.text)")
    if let advice = finding.advice { terminal.print(String(repeating: " ", count: width + 8) + "→ " + advice) }
  }

  private static func json(_ finding: Doctor.Finding) -> JSONValue {
    [
      "level": .string(finding.level.rawValue), "subject": .string(finding.subject), "text": .string(finding.text),
      "advice": finding.advice.map { .string($0) } ?? .null,
    ]
  }
}
