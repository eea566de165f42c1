import JSONText
public import PluginProtocol

/// Writes whole frames, each with its line feed.
public enum Frame {
  /// A request.
  public static func request(id: Int64, method: String, params: some WireValue) -> [UInt8] {
    message { writer in
      writer.field("id", id)
      writer.field("method", method)
      writer.field("params", params)
    }
  }

  /// A notification.
  public static func notification(method: String, params: some WireValue) -> [UInt8] {
    message { writer in
      writer.field("method", method)
      writer.field("params", params)
    }
  }

  /// A good answer.
  public static func response(id: Int64, result: some WireValue) -> [UInt8] {
    message { writer in
      writer.field("id", id)
      writer.field("result", result)
    }
  }

  /// An error answer; without an id where the request's could not be read.
  public static func failure(id: Int64?, error: ProtocolError) -> [UInt8] {
    message { writer in
      writer.key("id")
      if let id { writer.int(id) } else { writer.null() }
      writer.field("error", error)
    }
  }

  private static func message(_ members: (inout JSONWriter) -> Void) -> [UInt8] {
    var writer = JSONWriter(capacity: 512)
    writer.object { writer in
      writer.field("jsonrpc", "2.0")
      members(&writer)
    }
    writer.endLine()
    return writer.bytes
  }
}
