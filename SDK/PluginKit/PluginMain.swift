import Glibc
import JSONText
import PluginProtocol
import PluginTransport

/// Runs an adapter as a plugin process.
public enum PluginMain {
  /// Exit status of a plugin that was not started by a host (`EX_USAGE`).
  public static let usageStatus: Int32 = 64

  /// Speaks to the host over stdin and stdout until stdin ends, then exits with status 0.
  ///
  /// The calling thread becomes the reader; calls run in tasks. Started by hand, it explains itself and exits with 64.
  public static func run<Adapter: Platform>(_ adapter: Adapter) -> Never {
    if CommandLine.argc > 1 || isatty(STDIN_FILENO) == 1 { explain(Adapter.manifest) }
    guard let pipes = StandardStreams.takeOver() else {
      StandardStreams.printError("\(Adapter.manifest.id): the standard streams cannot be used\n")
      exit(71)
    }
    let service = PlatformService(adapter)
    let connection = Connection(sink: PipeWriter(descriptor: pipes.output), handlers: service.handlers)
    service.attach(connection)
    var reader = FrameReader()
    var started = false
    var refused = false
    let end = PipeReader.run(descriptor: pipes.input, reader: &reader) { event in
      if !started {
        started = true
        refused = !isInitialize(event)
        // A host with a fault gets an answer too, before the process ends.
        if refused, case .frame = event { connection.receive(event) }
      }
      guard !refused else { return false }
      connection.receive(event)
      if case .overflow = event { return false }
      return true
    }
    if refused || !started { explain(Adapter.manifest) }
    connection.close()
    switch end {
    case .endOfFile: exit(0)
    case .stopped: exit(65)
    case .failed: exit(74)
    }
  }

  private static func isInitialize(_ event: FrameReader.Event) -> Bool {
    guard case .frame(let frame) = event else { return false }
    // Whatever cannot be read is not the host's first message, so the reason does not matter here.
    guard let envelope = try? Envelope(frame), case .request(_, let method, _) = envelope else { return false }
    return method == InitializeRequest.method
  }

  private static func explain(_ manifest: PlatformManifest) -> Never {
    StandardStreams.printError(
      """
      \(manifest.id) \(manifest.version): \(manifest.summary)

      This program is a plugin. A Rostrum host starts it and speaks to it over stdin and stdout: one JSON-RPC 2.0
      message a line, the first of them "initialize". Started by hand it does nothing.
      To use it, install it on a host; `rostrum plugin list` shows what is installed.

      """
    )
    exit(usageStatus)
  }
}
