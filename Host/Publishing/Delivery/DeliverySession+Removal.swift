import JSONDocument
import JSONText
import PluginHost
import PluginProtocol

extension DeliverySession {
  /// How a call that deletes a post ended.
  enum RemovalEnd: Sendable {
    case removed
    /// Paused, or the lease belongs to somebody else; nothing was sent.
    case refused
    /// The request could not be journaled; nothing was sent.
    case databaseLost
    case failed(DeliveryProblem)
  }

  /// Asks the adapter to delete the post. It is believed only if the platform accepted a request of this run.
  func remove(_ remoteID: String) async throws -> RemovalEnd {
    let parameters = RawJSON.object { writer in
      writer.field("account", account.json())
      writer.object("job") { writer in
        writer.field("key", requestKey)
        writer.field("now", RFC3339.format(variant.startedAt))
        writer.field("seed", variant.seedText)
      }
      writer.field("remoteId", remoteID)
    }
    let end: RemovalEnd
    do {
      let answer = try await call(DeletePostRequest.method, parameters: parameters, job: "\(task.id).\(requestKey)")
      end = Self.removalEnd(answer)
    } catch {
      end = .failed(PluginResult.problem(error))
    }
    if journal.hasLostDatabase { return .databaseLost }
    if journal.refusal != nil { return .refused }
    if case .removed = end, !journal.current.hasAcceptedCommit {
      return .failed(
        PluginResult.violation("The plugin says it deleted the post, but no request for that was accepted")
      )
    }
    return end
  }

  private static func removalEnd(_ answer: RawJSON) -> RemovalEnd {
    do {
      guard try DeletePostRequest.Answer(json: answer).deleted else {
        return .failed(
          DeliveryProblem(kind: "contentRejected", retry: .never, message: "The platform did not delete it")
        )
      }
      return .removed
    } catch {
      return .failed(PluginResult.violation("The answer to post/delete is not usable: \(error)"))
    }
  }
}
