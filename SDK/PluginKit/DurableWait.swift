import PluginProtocol

/// Ends a publish call with a wait; the host calls again later and replay goes on behind it.
struct DurableWait: Error {
  let wait: Publication.Wait
}
