import PluginKit

/// The settings of a post that only this platform knows.
enum PostOptions {
  /// Names of the options that are true or false, and of the platform's members.
  private static let flags = ["madeWithAI": "made_with_ai", "paidPartnership": "paid_partnership"]
  private static let replySettings = ["following", "mentionedUsers", "subscribers", "verified"]

  /// Returns what is wrong with the options.
  static func findings(_ options: RawJSON) -> [Finding] {
    guard let object = try? options.object() else {
      return [Finding(.error, field: "options", code: "wrongType", "The options of X are an object.")]
    }
    return object.all.compactMap { name, value in
      switch name {
      case "replySettings":
        guard let text = try? value.string(), replySettings.contains(text) else {
          return wrong(name, value, replySettings.joined(separator: ", "))
        }
        return nil
      case _ where flags[name] != nil:
        guard (try? value.bool()) != nil else { return wrong(name, value, "true, false") }
        return nil
      default:
        let known = (flags.keys + ["replySettings"]).sorted().joined(separator: ", ")
        return Finding(
          .error,
          field: "options.\(name)",
          code: "unknownOption",
          "X has no such option.",
          actual: name,
          allowed: known
        )
      }
    }
  }

  /// Returns the members of the request for one post; who may reply is a matter of the first post of a thread.
  static func members(_ options: RawJSON, isFirst: Bool) -> [String: JSONLiteral] {
    var members: [String: JSONLiteral] = [:]
    // Options of another shape were refused by the rules before.
    guard let object = try? options.object() else { return [:] }
    if isFirst, let reply = try? object.optionalString("replySettings") { members["reply_settings"] = .string(reply) }
    for (name, member) in flags {
      if let flag = try? object.optionalBool(name), flag { members[member] = .bool(true) }
    }
    return members
  }

  private static func wrong(_ name: String, _ value: RawJSON, _ allowed: String) -> Finding {
    Finding(
      .error,
      field: "options.\(name)",
      code: "notAllowed",
      "X does not know this value.",
      actual: value.text,
      allowed: allowed
    )
  }
}
