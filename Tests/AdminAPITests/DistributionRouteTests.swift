import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

@testable import AdminAPI

/// Distributions and the queue over the API.
@Suite(.database) struct DistributionRouteTests {
  private static let base = "/api/admin/distribution"

  private func dispatch(
    _ api: APIFixture,
    _ post: Int64,
    _ more: String = "",
    at time: String = "2030-01-02T03:04:05Z"
  ) async -> TestClient.Answer {
    await api.send(
      .post,
      "\(Self.base)/dispatch",
      json: #"{"postId":\#(post),"connectionIds":[\#(api.connection)],"scheduledFor":"\#(time)"\#(more)}"#
    )
  }

  private func id(_ answer: TestClient.Answer, _ pointer: String) throws -> Int64 {
    try #require(answer.json.pointer(pointer)?.int64Value, "\(answer.text)")
  }

  @Test func aDistributionIsHeldLetGoAndWithdrawn() async throws {
    try await APIFixture.run { api in
      let distribution = try id(await dispatch(api, try await api.makePost()), "/data/distributionId")
      let path = "/api/distribution/\(distribution)"
      let progress = await api.get(path + "/progress")
      #expect(progress.json.pointer("/data/phase")?.stringValue == "scheduled", "\(progress.text)")
      let paused = await api.send(.post, path + "/pause")
      #expect(paused.status == 200, "\(paused.text)")
      #expect(paused.json.pointer("/data/waiting")?.int64Value == 1)
      #expect(await api.get(path + "/progress").json.pointer("/data/phase")?.stringValue == "paused")
      #expect(await api.send(.post, path + "/resume").status == 200)
      #expect(await api.send(.post, path + "/retry-failed").json.pointer("/data/retried")?.arrayValue?.isEmpty == true)
      #expect(await api.send(.post, path + "/cancel").json.pointer("/data/canceled")?.int64Value == 1)
      let status = await api.get(path + "/status")
      #expect(status.json.pointer("/data/phase")?.stringValue == "ended")
      #expect(status.json.pointer("/data/percent")?.int64Value == 100)
      #expect(status.json.pointer("/data/deliveries/0/state")?.stringValue == "canceled")
      for verb in ["pause", "resume", "cancel", "retry-failed"] {
        #expect(await api.send(.post, "/api/distribution/99/\(verb)").status == 404)
        #expect(await api.send(.post, path + "/" + verb, as: .author).status == 403)
      }
      let list = await api.get("/api/distribution/history?status=canceled&platform=test")
      #expect(list.json.pointer("/data/0/distributionId")?.int64Value == distribution, "\(list.text)")
      #expect(await api.get("/api/distribution/history?status=sent").json.pointer("/data/0") == nil)
      #expect(await api.get("/api/distribution/history?from=2030-01-01T00:00:00Z").json.pointer("/data/0") == nil)
    }
  }

  @Test func theQueueOfASiteAndOfAnAccountIsHeld() async throws {
    try await APIFixture.run { api in
      let delivery = try id(await dispatch(api, try await api.makePost()), "/data/deliveries/0/id")
      for path in ["\(Self.base)/queue", "\(Self.base)/connections/\(api.connection)"] {
        #expect(await api.send(.post, path + "/pause").status == 200)
        let story = await api.get("\(Self.base)/logs/\(delivery)/explain")
        #expect(story.json.pointer("/data/holds/0/kind")?.stringValue?.hasSuffix("Paused") == true, "\(story.text)")
        #expect(await api.send(.post, path + "/resume").status == 200)
      }
      let story = await api.get("\(Self.base)/logs/\(delivery)/explain")
      #expect(story.json.pointer("/data/holds/0/kind")?.stringValue == "planned")
      #expect(story.json.pointer("/data/next/at")?.stringValue?.hasPrefix("2030-01-02T03:04:05") == true)
      #expect(await api.send(.post, "\(Self.base)/queue/pause", as: .editor).status == 403)
    }
  }

  @Test func whatFailedIsListedRetriedAndAnswered() async throws {
    try await APIFixture.run { api in
      let delivery = try id(await dispatch(api, try await api.makePost()), "/data/deliveries/0/id")
      try await api.pool.batch([
        "DELETE FROM due", "DELETE FROM jobs",
        """
        UPDATE deliveries SET ended_as = 'failed', ended_at = now(), error = '{"kind":"k","message":"Too rude"}'
        WHERE id = \(delivery)
        """,
      ])
      let failed = await api.get("\(Self.base)/queue/failed")
      #expect(failed.json.pointer("/data/0/id")?.stringValue == "\(delivery)", "\(failed.text)")
      #expect(failed.json.pointer("/data/0/failedReason")?.stringValue == "Too rude")
      let story = await api.get("\(Self.base)/logs/\(delivery)/explain")
      #expect(story.json.pointer("/data/choices")?.arrayValue?.count == 3)
      let path = "\(Self.base)/logs/\(delivery)/answer"
      #expect(await api.send(.post, path, json: #"{"answer":"posted_by_hand"}"#).field == "url")
      #expect(await api.send(.post, path, json: #"{"answer":"published"}"#).code == "nothing_to_answer")
      #expect(await api.send(.post, "\(Self.base)/queue/retry/999").status == 404)
      let retried = await api.send(.post, "\(Self.base)/queue/retry/\(delivery)")
      #expect(retried.json.pointer("/data/run")?.int64Value == 2, "\(retried.text)")
      #expect(await api.send(.post, "\(Self.base)/queue/retry/\(delivery)").status == 409)
      try await api.pool.batch([
        "DELETE FROM due", "DELETE FROM jobs", "UPDATE deliveries SET ended_as = 'failed', ended_at = now()",
      ])
      let divert = await api.send(.post, "\(Self.base)/logs/\(delivery)/divert", json: "{}")
      #expect(divert.code == "no_other_way", "\(divert.text)")
      let byHand = await api.send(.post, path, json: #"{"answer":"posted_by_hand","url":"https://a.example/1"}"#)
      #expect(byHand.json.pointer("/data/state")?.stringValue == "sent", "\(byHand.text)")
      #expect(byHand.json.pointer("/data/isByHand")?.boolValue == true)
      #expect(await api.send(.delete, "\(Self.base)/logs/\(delivery)/remote").code == "no_remote_id")
      let clean = await api.send(.post, "\(Self.base)/queue/clean")
      #expect(clean.json.pointer("/data/completed")?.int64Value == 0, "\(clean.text)")
      #expect(await api.send(.post, "\(Self.base)/queue/clean", as: .editor).status == 403)
    }
  }

  @Test func anEditTellsWhichDeliveriesAreOld() async throws {
    try await APIFixture.run { api in
      let post = try await api.makePost("Old")
      let delivery = try id(await dispatch(api, post), "/data/deliveries/0/id")
      let path = "/api/posts/\(post)"
      #expect(await api.get(path).json.pointer("/data/outdatedDeliveries")?.arrayValue?.isEmpty == true)
      let edit = await api.send(.put, path, json: #"{"title":"New"}"#)
      #expect(edit.json.pointer("/data/outdatedDeliveries/0/deliveryId")?.int64Value == delivery, "\(edit.text)")
      #expect(edit.json.pointer("/data/outdatedDeliveries/0/canUpdate")?.boolValue == true)
      #expect(await api.send(.post, path + "/deliveries/update", as: .author).status == 403)
      let none = await api.send(.post, path + "/deliveries/update", json: #"{"deliveryIds":[99]}"#)
      #expect(none.json.pointer("/data/updated")?.arrayValue?.isEmpty == true, "\(none.text)")
      let update = await api.send(.post, path + "/deliveries/update")
      #expect(update.json.pointer("/data/updated/0")?.int64Value == delivery, "\(update.text)")
      #expect(await api.get(path).json.pointer("/data/outdatedDeliveries")?.arrayValue?.isEmpty == true)
      let log = await api.get("\(Self.base)/logs/\(delivery)")
      #expect(log.json.pointer("/data/postVersion")?.int64Value == 2)
    }
  }

  @Test func theSameContentIsRefusedUnlessItIsMeant() async throws {
    try await APIFixture.run { api in
      let delivery = try id(await dispatch(api, try await api.makePost("Same")), "/data/deliveries/0/id")
      let post = try await api.makePost("Same")
      let refused = await dispatch(api, post)
      #expect(refused.status == 409)
      #expect(refused.code == "content_repeated")
      #expect(refused.json.pointer("/error/details/deliveryId")?.int64Value == delivery, "\(refused.text)")
      #expect(await dispatch(api, post, #","allowDuplicate":true,"priority":4"#).status == 202)
      let rank: Int16 = try await api.pool.query("SELECT priority FROM jobs ORDER BY job_id DESC LIMIT 1")[0].get(0)
      #expect(rank == 4)
      #expect(await dispatch(api, post, #","priority":5"#).status == 400)
      #expect(await dispatch(api, post, at: "2030-02-02T03:04:05Z").status == 202)
    }
  }
}
