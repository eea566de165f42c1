internal import JSONText

/// The frame of a call: the caller's params with `_meta` added, copied as bytes.
enum CallFrame {
  private static let head = Array(#"{"jsonrpc":"2.0","id":"#.utf8)
  private static let method = Array(#","method":"#.utf8)
  private static let params = Array(#","params":"#.utf8)
  private static let meta = Array(#""_meta":{"call":"c"#.utf8)
  private static let deadline = Array(#"","deadlineMs":"#.utf8)
  private static let attempt = Array(#","attempt":"#.utf8)
  private static let tail = Array("}}}\n".utf8)

  /// - Parameter params: An object without the member `_meta`.
  static func make(
    number: Int64,
    method name: String,
    params object: RawJSON,
    deadlineMilliseconds: Int64,
    attempt count: Int
  ) -> [UInt8] {
    let body = object.bytes.dropLast()
    let isEmpty = body.dropFirst().allSatisfy { $0 <= 0x20 }
    var frame: [UInt8] = []
    frame.reserveCapacity(body.count + 192)
    frame += head
    frame += String(number).utf8
    frame += method
    frame += RawJSON.string(name).bytes
    frame += params
    frame += body
    if !isEmpty { frame.append(UInt8(ascii: ",")) }
    frame += meta
    frame += String(number).utf8
    frame += deadline
    frame += String(deadlineMilliseconds).utf8
    frame += attempt
    frame += String(count).utf8
    frame += tail
    return frame
  }
}
