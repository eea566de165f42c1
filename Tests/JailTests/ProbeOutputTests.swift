import Jail
import Processes
import Testing

@Suite struct ProbeOutputTests {
  private static let allHeld =
    EscapeAttempt.allCases.filter { $0 != .foreignCalls }
    .map { "\($0.rawValue) held EPERM\n" }.joined() + "foreign-calls try\n"

  @Test func endedByASignalAtForeignCallsIsTight() {
    let output = ProbeOutput(standardOutput: Self.allHeld, standardError: "", status: .signaled(31))
    #expect(output.isTight)
    #expect(output.results.count == EscapeAttempt.allCases.count)
  }

  @Test func anOpenAttemptIsAnEscape() {
    let text = Self.allHeld.replacing("fork held EPERM", with: "fork open clone")
    let output = ProbeOutput(standardOutput: text, standardError: "", status: .signaled(31))
    #expect(!output.isTight)
    #expect(output.escapes.map(\.attempt) == [.fork])
    #expect(output.escapes.first?.detail == "clone")
  }

  @Test func anEndWithoutASignalIsNotTight() {
    let output = ProbeOutput(standardOutput: Self.allHeld, standardError: "", status: .exited(0))
    #expect(!output.isTight)
    #expect(output.problem?.contains("foreign-calls") == true)
  }

  @Test func aMissingAttemptIsAProblemWithTheLastWordsOfTheLauncher() {
    let error = "rostrum-jail: cannot leave the host's namespaces: Operation not permitted\n"
    let output = ProbeOutput(standardOutput: "fork held EPERM\n", standardError: error, status: .exited(70))
    #expect(!output.isTight)
    #expect(output.problem?.contains("cannot leave the host's namespaces") == true)
  }

  @Test func nonsenseIsIgnored() {
    let output = ProbeOutput(standardOutput: "fork\nhello world\n\n held open\n", standardError: "", status: .exited(0))
    #expect(output.results.isEmpty)
  }
}
