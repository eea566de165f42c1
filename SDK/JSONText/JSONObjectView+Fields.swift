/// Typed reading of members. Each error names its field; absent and `null` are the same for the optional forms.
extension JSONObjectView {
  /// The string at `key`.
  public func string(_ key: String) throws(JSONTextError) -> String {
    let value = try value(key)
    do throws(JSONTextError) { return try value.string() } catch { throw error.naming(key) }
  }

  /// The string at `key`, if any.
  public func optionalString(_ key: String) throws(JSONTextError) -> String? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.string() } catch { throw error.naming(key) }
  }

  /// The integer at `key`.
  public func int64(_ key: String) throws(JSONTextError) -> Int64 {
    let value = try value(key)
    do throws(JSONTextError) { return try value.int64() } catch { throw error.naming(key) }
  }

  /// The integer at `key`, if any.
  public func optionalInt64(_ key: String) throws(JSONTextError) -> Int64? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.int64() } catch { throw error.naming(key) }
  }

  /// The number at `key`, if any.
  public func optionalDouble(_ key: String) throws(JSONTextError) -> Double? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.double() } catch { throw error.naming(key) }
  }

  /// The truth value at `key`, if any.
  public func optionalBool(_ key: String) throws(JSONTextError) -> Bool? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.bool() } catch { throw error.naming(key) }
  }

  /// The object at `key`.
  public func object(_ key: String) throws(JSONTextError) -> JSONObjectView {
    let value = try value(key)
    do throws(JSONTextError) { return try value.object() } catch { throw error.naming(key) }
  }

  /// The object at `key`, if any.
  public func optionalObject(_ key: String) throws(JSONTextError) -> JSONObjectView? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.object() } catch { throw error.naming(key) }
  }

  /// The elements of the array at `key`.
  public func array(_ key: String) throws(JSONTextError) -> JSONArrayView {
    let value = try value(key)
    do throws(JSONTextError) { return try value.array() } catch { throw error.naming(key) }
  }

  /// The elements of the array at `key`, if any.
  public func optionalArray(_ key: String) throws(JSONTextError) -> JSONArrayView? {
    guard let value = optional(key) else { return nil }
    do throws(JSONTextError) { return try value.array() } catch { throw error.naming(key) }
  }

  /// The strings of the array at `key`; an absent array is empty.
  public func strings(_ key: String) throws(JSONTextError) -> [String] {
    guard let elements = try optionalArray(key) else { return [] }
    var result: [String] = []
    for element in elements {
      do throws(JSONTextError) { result.append(try element.string()) } catch { throw error.naming(key) }
    }
    return result
  }
}
