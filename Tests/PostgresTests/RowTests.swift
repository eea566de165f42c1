import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct RowTests {
  private func row(_ statement: SQL) async throws -> Row {
    let session = Session(try TestDatabase.current.configuration)
    return try await session.query(statement)[0]
  }

  @Test func readsByNameAndPlace() async throws {
    let row = try await row("SELECT 7::bigint AS id, 'x' AS title")
    let id: Int64 = try row["id"]
    #expect(id == 7)
    #expect(try row.get("title", as: String.self) == "x")
    #expect(try row.get(1, as: String.self) == "x")
    #expect(row.columnCount == 2)
  }

  @Test func widensAndNarrowsIntegersInRange() async throws {
    let row = try await row("SELECT 7::int2 AS small, 300::bigint AS large")
    #expect(try row.get("small", as: Int64.self) == 7)
    #expect(try row.get("large", as: Int16.self) == 300)
  }

  @Test func errorsNameColumnAndTypes() async throws {
    let row = try await row(
      "SELECT NULL::bigint AS missing, 'x'::text AS title, 70000::int4 AS large, 1.5::numeric AS n"
    )
    let null = #expect(throws: PostgresError.self) { try row.get("missing", as: Int64.self) }
    #expect(null?.code == .decoding)
    #expect(null?.message.contains("missing is NULL") == true)
    let type = #expect(throws: PostgresError.self) { try row.get("title", as: UUID.self) }
    #expect(type?.message == "Column title is text, which does not fit into UUID")
    let range = #expect(throws: PostgresError.self) { try row.get("large", as: Int16.self) }
    #expect(range?.message.contains("large is int4") == true)
    let unknown = #expect(throws: PostgresError.self) { try row.get("nothing", as: Int64.self) }
    #expect(unknown?.message.contains("no column nothing") == true)
    #expect(throws: PostgresError.self) { try row.get(9, as: Int64.self) }
    #expect(throws: PostgresError.self) { try row.get(-1, as: Int64.self) }
    #expect(throws: PostgresError.self) { try row.get("n", as: Int64.self) }
  }

  @Test func refusesArraysOfOtherShape() async throws {
    let row = try await row("SELECT ARRAY[[1,2],[3,4]] AS matrix, ARRAY[1,NULL] AS holes, ARRAY['x'] AS texts")
    #expect(throws: PostgresError.self) { try row.get("matrix", as: [Int32].self) }
    #expect(throws: PostgresError.self) { try row.get("holes", as: [Int32].self) }
    #expect(try row.get("holes", as: [Int32?].self) == [1, nil])
    #expect(throws: PostgresError.self) { try row.get("texts", as: [Int32].self) }
  }

  @Test func outlivesItsSession() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let rows = try await session.query("SELECT 'kept' AS text FROM generate_series(1, 3)")
    await session.close()
    #expect(try rows.map { try $0.get("text", as: String.self) } == ["kept", "kept", "kept"])
  }
}
