import JSONText
import PluginKit
import PluginProtocol
import PluginTransport

/// Group 10: frames that nobody meant.
enum RobustnessChecks {
  static let all: [ConformanceCheck] = [
    ConformanceCheck("robustness.mutated-frames", "is not ended by frames with random faults") { context in
      let count = context.isLong ? 100_000 : 3_000
      var mutator = FrameMutator(seed: "conformance")
      var samples = [CheckContext.health(5)]
      let account = Account(id: "1", name: "Conformance")
      let post = (try? context.post()) ?? Post(text: "Hello, wörld 👋", tags: ["a"])
      samples.append(
        Frame.request(
          id: 6,
          method: RenderPostRequest.method,
          params: RenderPostRequest(meta: CallMeta(call: "c-1"), account: account, post: post)
        )
      )
      samples.append(
        Frame.request(
          id: 7,
          method: ValidatePostRequest.method,
          params: ValidatePostRequest(meta: CallMeta(call: "c-2"), account: account, post: post)
        )
      )
      samples.append(Frame.response(id: 3, result: HTTPAnswer(status: 200, json: .emptyObject)))
      var process = try await context.raw(counted: false)
      for sent in stride(from: 0, to: count, by: 100) {
        process.send((0..<100).flatMap { _ in mutator.mutate(samples) })
        process.send(CheckContext.health(Int64(1_000_000 + sent)))
        do {
          _ = try await context.answer(Int64(1_000_000 + sent), from: process, to: "health/check between faulty frames")
        } catch let failure as CheckFailure {
          // An adapter may give up a stream that makes no sense; it may not crash.
          guard case .status = await process.exit(within: .seconds(1)) else {
            throw CheckFailure("frames \(sent) to \(sent + 100), seed “conformance”: \(failure)")
          }
          process = try await context.raw(counted: false)
        }
        if process.current.frames.count > 20_000 { process = try await context.raw(counted: false) }
      }
      return "\(count) frames"
    }
  ]
}
