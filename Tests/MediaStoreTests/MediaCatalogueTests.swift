import Postgres
import TestSupport
import Testing

@testable import MediaStore

@Suite(.database) struct MediaCatalogueTests {
  private let catalogue = MediaCatalogue()

  private func site(_ pool: Pool) async throws -> Int64 {
    try await pool.query("INSERT INTO sites (name) VALUES ('S') RETURNING id")[0].get(0)
  }

  private func add(
    _ pool: Pool,
    site: Int64,
    byte: UInt8 = 1,
    alt: String = ""
  ) async throws -> MediaItem {
    try await pool.transaction(scope: .site(site)) { tx in
      try await catalogue.add(
        sha256: [UInt8](repeating: byte, count: 32),
        bytes: 5,
        format: MediaFormat(type: "image/png", width: 1, height: 2),
        fileName: "a.png",
        alt: alt,
        site: site,
        user: nil,
        in: tx
      )
    }
  }

  @Test func theSameContentTwiceIsOneItem() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await site(pool)
      let first = try await add(pool, site: site, alt: "words")
      let again = try await add(pool, site: site)
      #expect(again == first)
      #expect(try await add(pool, site: site, alt: "better").alt == "better")
      #expect(try await add(pool, site: site, byte: 2).id != first.id)
      let other = try await self.site(pool)
      #expect(try await add(pool, site: other).id != first.id)
    }
  }

  @Test func aDeletedItemIsGoneAndComesAnew() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await site(pool)
      let item = try await add(pool, site: site)
      try await pool.transaction(scope: .site(site)) { tx in try await catalogue.delete(item.id, in: tx) }
      for body in [
        { tx in _ = try await catalogue.item(item.id, in: tx) },
        { tx in _ = try await catalogue.update(item.id, alt: "x", in: tx) },
        { tx in try await catalogue.delete(item.id, in: tx) },
      ] as [(Transaction) async throws -> Void] {
        await #expect(throws: MediaError.notFound(item.id)) {
          try await pool.transaction(scope: .site(site)) { tx in try await body(tx) }
        }
      }
      #expect(try await add(pool, site: site).id != item.id)
    }
  }

  @Test func anotherSiteSeesNothing() async throws {
    try await TestDatabase.current.withPool { pool in
      let (site, other) = (try await site(pool), try await site(pool))
      let item = try await add(pool, site: site)
      await #expect(throws: MediaError.notFound(item.id)) {
        try await pool.transaction(scope: .site(other)) { tx in try await catalogue.item(item.id, in: tx) }
      }
      let seen = try await pool.transaction(scope: .site(other)) { tx in
        try await catalogue.list(before: nil, limit: 10, in: tx)
      }
      #expect(seen.isEmpty)
    }
  }

  @Test func listsNewestFirst() async throws {
    try await TestDatabase.current.withPool { pool in
      let site = try await site(pool)
      var ids: [Int64] = []
      for byte in UInt8(1)...5 { ids.append(try await add(pool, site: site, byte: byte).id) }
      let pages = try await pool.transaction(scope: .site(site)) { tx in
        [
          try await catalogue.list(before: nil, limit: 2, in: tx).map(\.id),
          try await catalogue.list(before: ids[3], limit: 9, in: tx).map(\.id),
        ]
      }
      #expect(pages == [[ids[4], ids[3]], [ids[2], ids[1], ids[0]]])
    }
  }
}
