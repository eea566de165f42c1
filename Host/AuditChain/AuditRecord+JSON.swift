package import Audit
internal import Cryptography
package import JSONDocument

extension AuditRecord {
  /// The row for programs; `seq` and `hash` are null until it is sealed.
  package func json() throws -> JSONValue {
    func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    return [
      "id": .int(id), "siteId": site.map { .int($0) } ?? .null, "userId": user.map { .int($0) } ?? .null,
      "user": text(userName), "action": .string(action), "subject": .string(subject),
      "details": try JSONValue.parse(Array(details.utf8)), "address": text(address), "userAgent": text(userAgent),
      "at": .string(RFC3339.format(at)), "isSealed": .bool(seq != nil), "seq": seq.map { .int($0) } ?? .null,
      "hash": text(hash.map { Hex.encode($0) }),
    ]
  }
}
