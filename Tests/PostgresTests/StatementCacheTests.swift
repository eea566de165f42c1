import Postgres
import Testing

struct StatementCacheTests {
  private func key(_ text: String) -> StatementCache.Key {
    StatementCache.Key(literals: [text], types: [])
  }

  @Test func forgetsTheLeastRecentlyUsed() {
    var cache = StatementCache(capacity: 2)
    cache.insert(key("a"), name: "1")
    cache.insert(key("b"), name: "2")
    #expect(cache.name(for: key("a")) == "1")
    #expect(cache.makeRoom(for: 1, keeping: [key("c")]) == ["2"])
    #expect(cache.name(for: key("b")) == nil)
    #expect(cache.name(for: key("a")) == "1")
  }

  @Test func keepsWhatTheBatchNeeds() {
    var cache = StatementCache(capacity: 1)
    cache.insert(key("a"), name: "1")
    #expect(cache.makeRoom(for: 1, keeping: [key("a"), key("b")]).isEmpty)
  }

  @Test func tellsParameterTypesApart() {
    var cache = StatementCache(capacity: 5)
    cache.insert(StatementCache.Key(literals: ["a", ""], types: [20]), name: "1")
    #expect(cache.name(for: StatementCache.Key(literals: ["a", ""], types: [25])) == nil)
  }

  @Test func neverReusesNames() {
    var cache = StatementCache(capacity: 1)
    #expect(cache.makeName() != cache.makeName())
  }
}
