import Audit
import Cryptography
import JSONDocument

/// Rows of the audit trail as comma-separated values (RFC 4180).
enum AuditCSV {
  static let head = "id,at,siteId,userId,user,action,subject,details,address,userAgent,seq,hash\r\n"

  static func line(_ record: AuditRecord) -> String {
    let fields: [String] = [
      number(record.id), RFC3339.format(record.at), number(record.site), number(record.user), field(record.userName),
      field(record.action), field(record.subject), field(record.details), field(record.address),
      field(record.userAgent), number(record.seq), record.hash.map { Hex.encode($0) } ?? "",
    ]
    return fields.joined(separator: ",") + "\r\n"
  }

  private static func number(_ value: Int64?) -> String { value.map { "\($0)" } ?? "" }

  /// Text from outside: a spreadsheet must not take it for a formula, so such a text gets an apostrophe in front.
  static func field(_ text: String?) -> String {
    guard let text, let first = text.unicodeScalars.first else { return "" }
    let safe = "=+-@\t\r\n".unicodeScalars.contains(first) ? "'" + text : text
    guard safe.unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else { return safe }
    return "\"" + safe.replacing("\"", with: "\"\"") + "\""
  }
}
