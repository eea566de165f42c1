/// The words of a command line, sorted into options and operands.
struct Arguments: Sendable, Equatable {
  private(set) var values: [String: String] = [:]
  private(set) var flags: Set<String> = []
  private(set) var operands: [String] = []

  /// Sorts the words behind the command's own.
  ///
  /// - Throws: ``CommandError`` naming the word, what came and what is allowed.
  init(_ words: [String], for command: Command) throws(CommandError) {
    var rest = words[...]
    var takesOptions = true
    while let word = rest.popFirst() {
      guard takesOptions, word.hasPrefix("-"), word != "-" else {
        operands.append(word)
        continue
      }
      if word == "--" {
        takesOptions = false
        continue
      }
      try takeOption(word, &rest, command)
    }
    if flags.contains("help") { return }
    try check(command)
  }

  private mutating func takeOption(
    _ word: String,
    _ rest: inout ArraySlice<String>,
    _ command: Command
  ) throws(CommandError) {
    let halves = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let name = halves[0] == "-h" ? "help" : String(halves[0].dropFirst(2))
    guard halves[0] == "-h" || halves[0].hasPrefix("--"),
      let option = command.allOptions.first(where: { $0.name == name })
    else {
      let known = command.allOptions.map { "--\($0.name)" }
      throw CommandError(
        .usage,
        "The option \(halves[0]) is not known\(Suggestion.text(halves[0], among: known)); allowed are "
          + known.joined(separator: ", ")
      )
    }
    guard let placeholder = option.placeholder else {
      guard halves.count == 1 else { throw CommandError(.usage, "--\(name) takes no value") }
      flags.insert(name)
      return
    }
    guard let value = halves.count == 2 ? halves[1] : rest.popFirst() else {
      throw CommandError(.usage, "--\(name) needs a value: --\(name) \(placeholder)")
    }
    guard values.updateValue(value, forKey: name) == nil else {
      throw CommandError(.usage, "--\(name) is given more than once")
    }
  }

  private func check(_ command: Command) throws(CommandError) {
    let words = command.words.joined(separator: " ")
    for option in command.options where option.isRequired && values[option.name] == nil {
      throw CommandError(
        .usage,
        "`rostrum \(words)` needs --\(option.name) \(option.placeholder ?? ""): \(option.about)"
      )
    }
    if operands.count < command.operands.count, !command.operands[operands.count].isOptional {
      let missing = command.operands[operands.count]
      throw CommandError(.usage, "`rostrum \(words)` needs \(missing.name): \(missing.about)")
    }
    if operands.count > command.operands.count {
      throw CommandError(.usage, "“\(operands[command.operands.count])” is one word too many for `rostrum \(words)`")
    }
  }
}

/// Finds what somebody may have meant.
enum Suggestion {
  /// `; did you mean …?`, or nothing when no word is near.
  static func text(_ word: String, among words: [String]) -> String {
    let near = words.map { ($0, distance(word, $0)) }.min { $0.1 < $1.1 }
    guard let near, near.1 <= max(1, word.count / 3) else { return "" }
    return "; did you mean \(near.0)?"
  }

  /// How many letters must be changed, added or removed.
  private static func distance(_ left: String, _ right: String) -> Int {
    let right = Array(right)
    var row = Array(0...right.count)
    for (line, letter) in left.enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for (column, other) in right.enumerated() {
        let changed = diagonal + (letter == other ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(changed, diagonal + 1, row[column] + 1)
      }
    }
    return row[right.count]
  }
}
