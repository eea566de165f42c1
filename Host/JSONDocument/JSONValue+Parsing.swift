internal import CJansson

extension JSONValue {
  /// Parses one JSON text strictly.
  ///
  /// Refused: duplicate names, invalid UTF-8, the NUL character, integers outside Int64, numbers outside Double,
  /// nesting deeper than `maximumDepth` (1 is an array or object without others inside), more than `maximumBytes`
  /// bytes, and anything but white space after the value. Any kind of value may stand at the top.
  package static func parse(
    _ bytes: [UInt8],
    maximumDepth: Int = 64,
    maximumBytes: Int = 1 << 20
  ) throws(JSONError) -> JSONValue {
    guard bytes.count <= maximumBytes else {
      throw JSONError(.tooLarge, "The text has \(bytes.count) bytes; at most \(maximumBytes) are allowed")
    }
    // Checked before the parser runs, so that recursion is bounded on both sides of it.
    guard !isDeeper(bytes, than: min(maximumDepth, 1024)) else {
      throw JSONError(.tooDeep, "The text is nested too deeply; at most \(maximumDepth) levels are allowed")
    }
    var failure = json_error_t()
    let root = unsafe bytes.withUnsafeBytes { buffer in
      unsafe json_loadb(
        buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
        buffer.count,
        Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY),
        &failure
      )
    }
    guard let root = unsafe root else { throw JSONError(failure) }
    defer { unsafe json_decref(root) }
    return try unsafe JSONValue(converting: root)
  }

  /// Parses one JSON text strictly, as ``parse(_:maximumDepth:maximumBytes:)-([UInt8],_,_)``.
  package static func parse(
    _ text: String,
    maximumDepth: Int = 64,
    maximumBytes: Int = 1 << 20
  ) throws(JSONError) -> JSONValue {
    try parse(Array(text.utf8), maximumDepth: maximumDepth, maximumBytes: maximumBytes)
  }

  private static func isDeeper(_ bytes: [UInt8], than limit: Int) -> Bool {
    var depth = 0
    var inString = false
    var escaped = false
    for byte in bytes {
      if inString {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): inString = true
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        if depth > limit { return true }
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default: break
      }
    }
    return false
  }

  private init(converting value: UnsafeMutablePointer<json_t>) throws(JSONError) {
    switch unsafe value.pointee.type {
    case JSON_OBJECT:
      var members: [String: JSONValue] = [:]
      members.reserveCapacity(unsafe json_object_size(value))
      var iterator = unsafe json_object_iter(value)
      while let current = unsafe iterator {
        guard let child = unsafe json_object_iter_value(current), let key = unsafe json_object_iter_key(current) else {
          throw JSONError(.outOfMemory, "The text could not be read")
        }
        let name = unsafe Self.string(key, json_object_iter_key_len(current))
        let converted = try unsafe JSONValue(converting: child)
        // Names that differ in bytes may still be the same string to Swift.
        guard members.updateValue(converted, forKey: name) == nil else {
          throw JSONError(.duplicateName, "An object has the same name twice")
        }
        unsafe iterator = unsafe json_object_iter_next(value, current)
      }
      self = .object(members)
    case JSON_ARRAY:
      let count = unsafe json_array_size(value)
      var elements: [JSONValue] = []
      elements.reserveCapacity(count)
      for index in 0..<count {
        guard let child = unsafe json_array_get(value, index) else { break }
        elements.append(try unsafe JSONValue(converting: child))
      }
      self = .array(elements)
    case JSON_STRING:
      self = .string(unsafe json_string_value(value).map { unsafe Self.string($0, json_string_length(value)) } ?? "")
    case JSON_INTEGER: self = .int(Int64(unsafe json_integer_value(value)))
    case JSON_REAL: self = .double(unsafe json_real_value(value))
    case JSON_TRUE: self = .bool(true)
    case JSON_FALSE: self = .bool(false)
    default: self = .null
    }
  }

  private static func string(_ start: UnsafePointer<CChar>, _ count: Int) -> String {
    unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }
}

extension JSONError {
  fileprivate init(_ failure: json_error_t) {
    var copy = failure
    let code = unsafe json_error_code(&copy)
    let line = max(0, Int(failure.line))
    let column = max(0, Int(failure.column))
    switch code {
    case json_error_duplicate_key:
      self.init(.duplicateName, line: line, column: column, "An object has the same name twice")
    case json_error_premature_end_of_input:
      self.init(.incomplete, line: line, column: column, "The text ends too early")
    case json_error_invalid_utf8:
      self.init(.invalidUTF8, line: line, column: column, "The text is not UTF-8")
    case json_error_null_character, json_error_null_byte_in_key:
      self.init(.nulCharacter, line: line, column: column, "The NUL character is not allowed")
    case json_error_numeric_overflow:
      self.init(
        .numberOutOfRange,
        line: line,
        column: column,
        "A number is too large; integers of 64 bits and double-precision numbers are allowed"
      )
    case json_error_stack_overflow:
      self.init(.tooDeep, line: line, column: column, "The text is nested too deeply")
    case json_error_out_of_memory:
      self.init(.outOfMemory, "There is not enough memory to read the text")
    case json_error_end_of_input_expected:
      self.init(.invalidSyntax, line: line, column: column, "Something follows the end of the value")
    default:
      self.init(.invalidSyntax, line: line, column: column, "The text is not JSON")
    }
  }
}
