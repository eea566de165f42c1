import FoundationEssentials
import JSONDocument
import Testing

@Suite struct FieldReaderTests {
  private enum Color: String, CaseIterable { case red, green }

  @Test func readsEveryKindOfField() throws {
    var reader = try FieldReader([
      "title": "Hi", "n": 3, "d": 1.5, "ok": true, "color": "green", "at": "2026-01-01T00:00:00Z",
      "id": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "tags": ["a", "b"], "ids": [1, 2], "gone": nil,
      "options": ["depth": 1], "items": [["x": 1], ["x": 2]],
    ])
    #expect(try reader.string("title", 1...300) == "Hi")
    #expect(try reader.int64("n") == 3)
    #expect(try reader.double("d", 0...2) == 1.5)
    #expect(try reader.bool("ok"))
    #expect(try reader.oneOf("color", Color.self) == .green)
    #expect(try reader.date("at") == Date(timeIntervalSince1970: 1_767_225_600))
    #expect(try reader.uuid("id").uuidString == "6BA7B810-9DAD-11D1-80B4-00C04FD430C8")
    #expect(try reader.strings("tags", 0...5, length: 1...9) == ["a", "b"])
    #expect(try reader.int64s("ids", 0...5) == [1, 2])
    #expect(reader.has("gone"))
    #expect(try reader.optionalString("gone", 1...2) == nil)
    #expect(try reader.optionalInt64("never") == nil)
    var options = try reader.object("options")
    #expect(try options.int("depth", 0...3) == 1)
    try options.finish()
    var numbers: [Int] = []
    for var item in try reader.objects("items", 1...2) {
      numbers.append(try item.int("x", 0...9))
      try item.finish()
    }
    #expect(numbers == [1, 2])
    try reader.finish()
  }

  private func failure(
    _ value: JSONValue,
    _ read: (inout FieldReader) throws(FieldError) -> Void
  ) -> FieldError? {
    #expect(throws: FieldError.self) {
      var reader = try FieldReader(value)
      try read(&reader)
      try reader.finish()
    }
  }

  @Test func namesTheFieldWhatCameAndWhatIsAllowed() {
    let long = failure(["title": .string(String(repeating: "é", count: 301))]) { reader throws(FieldError) in
      _ = try reader.string("title", 1...300)
    }
    #expect(long?.code == .tooLong)
    #expect(long?.message == "'title' is too long: a string of 301 characters came; allowed: 1 to 300 characters")

    let missing = failure([:]) { reader throws(FieldError) in _ = try reader.int64("count", 1...5) }
    #expect(missing?.code == .missing)
    #expect(missing?.message == "'count' is missing; allowed: an integer from 1 to 5")

    let wrong = failure(["count": "7"]) { reader throws(FieldError) in _ = try reader.int64("count") }
    #expect(wrong?.code == .wrongType)
    #expect(wrong?.message == "'count' has the wrong type: a string came; allowed: an integer")

    let range = failure(["count": 9]) { reader throws(FieldError) in _ = try reader.int("count", 1...5) }
    #expect(range?.code == .outOfRange)
    #expect(range?.came == "9")

    let choice = failure(["color": "blue"]) { reader throws(FieldError) in _ = try reader.oneOf("color", Color.self) }
    #expect(choice?.code == .notAllowed)
    #expect(choice?.allowed == "one of red, green")

    let whole = failure([1]) { _ in }
    #expect(whole?.message == "The value has the wrong type: an array came; allowed: an object")
  }

  @Test func pathsLeadIntoObjectsAndArrays() {
    let error = failure(["options": ["tags": ["a", "b", 3]]]) { reader throws(FieldError) in
      var options = try reader.object("options")
      _ = try options.strings("tags", 0...9, length: 0...9)
    }
    #expect(error?.field == "options.tags[2]")
    let nested = failure(["items": [["x": 1], ["y": 2]]]) { reader throws(FieldError) in
      for var item in try reader.objects("items", 0...9) { _ = try item.int("x", 0...9) }
    }
    #expect(nested?.field == "items[1].x")
    #expect(nested?.code == .missing)
  }

  @Test func refusesUnknownFieldsByName() {
    let error = failure(["title": "x", "titel": "y", "zzz": 1]) { reader throws(FieldError) in
      _ = try reader.string("title", 0...9)
    }
    #expect(error?.code == .unknown)
    #expect(error?.field == "titel")
    #expect(error?.message == "'titel' is not known (and 1 more); allowed: only title")
  }

  @Test func hostileNamesAndValuesAreShownShortAndClean() {
    let name = "\u{1B}[31m" + String(repeating: "n", count: 10_000)
    let unknown = failure([name: 1]) { _ in }
    #expect(unknown.map { $0.field.count < 100 && !$0.field.contains("\u{1B}") } == true)
    let empty = failure(["": 1]) { _ in }
    #expect(empty?.message == #"'""' is not known; allowed: no field"#)
    let choice = failure(["c": .string(String(repeating: "v", count: 10_000) + "\u{7}")]) { reader throws(FieldError) in
      _ = try reader.oneOf("c", ["a"])
    }
    #expect(choice.map { $0.message.count < 200 } == true)
  }

  @Test func combiningMarksDoNotEscapeTheLimit() {
    let text = "e" + String(repeating: "\u{301}", count: 10_000)
    #expect(text.count == 1)
    let error = failure(["t": .string(text)]) { reader throws(FieldError) in _ = try reader.string("t", 1...10) }
    #expect(error?.code == .tooLong)
  }

  @Test(arguments: [1.0, 1.5, 1e30])
  func integersAreNotRoundedFromFractions(number: Double) {
    let error = failure(["n": .double(number)]) { reader throws(FieldError) in _ = try reader.int64("n") }
    #expect(error?.code == .wrongType)
  }

  @Test(arguments: [0...0, 2...3] as [ClosedRange<Int>])
  func countsElements(range: ClosedRange<Int>) {
    let error = failure(["a": [1]]) { reader throws(FieldError) in _ = try reader.array("a", range) }
    #expect(error?.code == (range.lowerBound > 1 ? .tooShort : .tooLong))
  }
}
