import Testing

@testable import rostrum

@Suite struct ArgumentsTests {
  private let command = Command(
    words: ["token", "create"],
    summary: "",
    operands: [.init(name: "ID", about: "a number")],
    options: [.value("email", "ADDRESS", "whose token it is", required: true), .flag("force", "do it")]
  ) { _ in .success }

  private func complaint(_ words: [String]) -> String? {
    do throws(CommandError) {
      _ = try Arguments(words, for: command)
      return nil
    } catch {
      return error.code == .usage ? error.description : nil
    }
  }

  @Test func sortsOptionsAndOperands() throws {
    let arguments = try Arguments(["7", "--email", "a@b.example", "--force", "--json"], for: command)
    #expect(arguments.operands == ["7"])
    #expect(arguments.values == ["email": "a@b.example"])
    #expect(arguments.flags == ["force", "json"])
  }

  @Test func takesValuesBehindAnEqualsSign() throws {
    #expect(try Arguments(["7", "--email=a=b"], for: command).values["email"] == "a=b")
  }

  @Test func takesEverythingBehindTwoDashesAsOperands() throws {
    #expect(try Arguments(["--email", "a", "--", "--force"], for: command).operands == ["--force"])
  }

  @Test func helpNeedsNothingElse() throws {
    #expect(try Arguments(["-h"], for: command).flags == ["help"])
  }

  @Test(arguments: [
    (["7"], "--email"), (["--email", "a"], "ID"), (["7", "8", "--email", "a"], "“8”"),
    (["7", "--email"], "needs a value"),
    (["7", "--email", "a", "--email", "b"], "more than once"), (["7", "--email", "a", "--force=1"], "takes no value"),
    (["7", "--emial", "a"], "did you mean --email?"), (["7", "-x"], "-x is not known"),
  ])
  func saysWhatIsWrong(words: [String], part: String) throws {
    let text = try #require(complaint(words))
    #expect(text.contains(part), "\(text)")
  }

  @Test func everyCommandHasItsOwnWords() {
    let words = Rostrum.commands.map { $0.words.joined(separator: " ") }
    #expect(Set(words).count == words.count)
    for command in Rostrum.commands {
      #expect(Set(command.allOptions.map(\.name)).count == command.allOptions.count)
    }
  }
}
