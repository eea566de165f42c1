/// A request on its way to the client's thread.
struct Submission: Sendable {
  let request: OutgoingRequest
  let continuation: CheckedContinuation<Outcome, Never>
}
