import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.emptyDatabase) struct ValueCodingTests {
  private func roundTrip<Value: PostgresEncodable & PostgresDecodable>(_ value: Value) async throws -> Value {
    let session = Session(try TestDatabase.current.configuration)
    let rows = try await session.query("SELECT \(value)")
    let result: Value = try rows[0][0]
    await session.close()
    return result
  }

  @Test func integersKeepTheirLimits() async throws {
    #expect(try await roundTrip(Int16.min) == .min)
    #expect(try await roundTrip(Int32.max) == .max)
    #expect(try await roundTrip(Int64.min) == .min)
    #expect(try await roundTrip(Int64.max) == .max)
    #expect(try await roundTrip(-1) == -1)
  }

  @Test func otherScalars() async throws {
    #expect(try await roundTrip(true))
    #expect(try await roundTrip(false) == false)
    #expect(try await roundTrip(-0.1) == -0.1)
    #expect(try await roundTrip(Double.infinity) == .infinity)
    #expect(try await roundTrip(Double.nan).isNaN)
    let id = UUID()
    #expect(try await roundTrip(id) == id)
    #expect(try await roundTrip([UInt8](0...255)) == [UInt8](0...255))
    #expect(try await roundTrip([UInt8]()) == [])
  }

  @Test func uuidHasTheServersByteOrder() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let id = try #require(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
    let text: String = try await session.query("SELECT \(id)::text")[0][0]
    #expect(text == "00112233-4455-6677-8899-aabbccddeeff")
  }

  @Test(arguments: [
    "", "'", "\"", "\\", "'; DROP TABLE posts; --", "$1", "%s", "{\"a\": NULL}", "é😀\u{202E}", "line\nline\r\t",
    String(repeating: "x", count: 100_000),
  ])
  func hostileStringsArriveUnchanged(text: String) async throws {
    #expect(try await roundTrip(text) == text)
    #expect(try await roundTrip([text, text]) == [text, text])
  }

  @Test func textWithNULIsRefusedByTheServer() async throws {
    let error = await #expect(throws: PostgresError.self) { try await roundTrip("a\0b") }
    #expect(error?.sqlState == "22021")
  }

  @Test(arguments: [0.0, 1.000001, -1.5, 800_000_000.123457, -3_000_000_000.25])
  func instantsKeepMicroseconds(seconds: Double) async throws {
    let date = Date(timeIntervalSinceReferenceDate: seconds)
    let result = try await roundTrip(date)
    #expect(abs(result.timeIntervalSinceReferenceDate - seconds) < 0.000_001)
  }

  @Test func instantsMatchTheServersClock() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let date = Date(timeIntervalSince1970: 1_700_000_000.25)
    let row = try await session.query(
      "SELECT extract(epoch FROM \(date))::float8, to_timestamp(1700000000.25), 'infinity'::timestamptz"
    )[0]
    #expect(try row.get(0, as: Double.self) == 1_700_000_000.25)
    #expect(try row.get(1, as: Date.self) == date)
    #expect(try row.get(2, as: Date.self).timeIntervalSinceReferenceDate == .infinity)
    #expect(try await roundTrip(Date(timeIntervalSinceReferenceDate: -.infinity)) < .distantPast)
  }

  @Test func nullsOfEveryKind() async throws {
    #expect(try await roundTrip(Int64?.none) == nil)
    #expect(try await roundTrip(String?.none) == nil)
    #expect(try await roundTrip(String?.some("")) == "")
    #expect(try await roundTrip([UInt8]?.none) == nil)
    #expect(try await roundTrip(Date?.none) == nil)
    #expect(try await roundTrip([String]?.none) == nil)
    #expect(try await roundTrip(JSONB?.none) == nil)
  }

  @Test func arraysOfEveryKind() async throws {
    #expect(try await roundTrip([Int64]([1, -2, .max])) == [1, -2, .max])
    #expect(try await roundTrip([Int32]([1, -2])) == [1, -2])
    #expect(try await roundTrip([Int16]([1, -2])) == [1, -2])
    #expect(try await roundTrip([true, false]) == [true, false])
    #expect(try await roundTrip([0.5, -1]) == [0.5, -1])
    #expect(try await roundTrip([[UInt8]]([[], [0], [1, 2]])) == [[], [0], [1, 2]])
    let ids = [UUID(), UUID()]
    #expect(try await roundTrip(ids) == ids)
    let dates = [Date(timeIntervalSinceReferenceDate: 5), Date(timeIntervalSinceReferenceDate: -5)]
    #expect(try await roundTrip(dates) == dates)
    #expect(try await roundTrip([JSONB(text: "{\"a\": 1}")]) == [JSONB(text: "{\"a\": 1}")])
    #expect(try await roundTrip([Int64]()) == [])
    #expect(try await roundTrip([String]()) == [])
  }

  @Test func arraysWithNulls() async throws {
    #expect(try await roundTrip([Int64?]([1, nil, 3])) == [1, nil, 3])
    #expect(try await roundTrip([String?](["", nil, "x"])) == ["", nil, "x"])
    #expect(try await roundTrip([[UInt8]?]([[1], nil])) == [[1], nil])
    #expect(try await roundTrip([Int64?]([nil])) == [nil])
  }

  @Test func arraysWorkWithUnnest() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let numbers = (0..<5_000).map(Int64.init)
    let rows = try await session.query("SELECT sum(n)::bigint, count(*) FROM unnest(\(numbers)) AS n")
    #expect(try rows[0].get(0, as: Int64.self) == 4_999 * 2_500)
    #expect(try rows[0].get(1, as: Int.self) == 5_000)
  }

  @Test func jsonIsReadAsText() async throws {
    let session = Session(try TestDatabase.current.configuration)
    let row = try await session.query("SELECT \(JSONB(text: "{\"b\":2,\"a\":[1]}")), '[1, 2]'::json, '{}'::jsonb")[0]
    #expect(try row.get(0, as: JSONB.self).text == "{\"a\": [1], \"b\": 2}")
    #expect(try row.get(1, as: JSONB.self).text == "[1, 2]")
    #expect(try row.get(2, as: String.self) == "{}")
  }

  @Test func enumerationsAreReadAsText() async throws {
    let session = Session(try TestDatabase.current.configuration)
    try await session.execute(script: "CREATE TYPE mood AS ENUM ('calm', 'wild')")
    let row = try await session.query("SELECT \("wild")::mood, ARRAY['calm'::mood]")[0]
    #expect(try row.get(0, as: String.self) == "wild")
    #expect(try row.get(1, as: [String].self) == ["calm"])
  }
}
