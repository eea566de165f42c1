import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct ListenerTests {
  @Test func wakesSubscribersOfTheChannel() async throws {
    let configuration = try TestDatabase.current.configuration
    let listener = try Listener(configuration, channels: ["jobs", "We\"ird"])
    var jobs = listener.wakeUps("jobs").makeAsyncIterator()
    var weird = listener.wakeUps("We\"ird").makeAsyncIterator()
    listener.start()
    // The first connection is a wake-up itself.
    #expect(await jobs.next() != nil)
    #expect(await weird.next() != nil)
    let session = Session(configuration)
    try await session.execute("SELECT pg_notify('jobs', 'x')")
    #expect(await jobs.next() != nil)
    try await session.execute("SELECT pg_notify('We\"ird', '')")
    #expect(await weird.next() != nil)
    await listener.close()
    #expect(await jobs.next() == nil)
  }

  @Test func joinsWakeUpsNobodyTook() async throws {
    let configuration = try TestDatabase.current.configuration
    let listener = try Listener(configuration, channels: ["jobs", "end"])
    let jobs = listener.wakeUps("jobs")
    var end = listener.wakeUps("end").makeAsyncIterator()
    listener.start()
    _ = await end.next()
    let session = Session(configuration)
    for number in 0..<50 {
      try await session.execute("SELECT pg_notify('jobs', \(String(number)))")
    }
    try await session.execute("SELECT pg_notify('end', '')")
    _ = await end.next()
    await listener.close()
    var count = 0
    for await _ in jobs { count += 1 }
    #expect(count == 1)
  }

  @Test func reconnectIsAWakeUp() async throws {
    let configuration = try TestDatabase.current.configuration
    let listener = try Listener(configuration, channels: ["jobs"])
    var jobs = listener.wakeUps("jobs").makeAsyncIterator()
    listener.start()
    #expect(await jobs.next() != nil)
    let session = Session(configuration)
    try await session.execute(
      """
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'LISTEN%'
      """
    )
    #expect(await jobs.next() != nil)
    try await session.execute("SELECT pg_notify('jobs', '')")
    #expect(await jobs.next() != nil)
    #expect(listener.isConnected)
    await listener.close()
  }

  @Test func closesWhileTheServerIsAway() async throws {
    let nowhere = Configuration(socketDirectory: "/nonexistent", database: "x", user: "x")
    let listener = try Listener(
      nowhere,
      channels: ["jobs"],
      backoff: Backoff(initial: .seconds(600), maximum: .seconds(600))
    )
    listener.start()
    await listener.close()
    #expect(!listener.isConnected)
  }
}
