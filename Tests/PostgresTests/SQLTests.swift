import Postgres
import Testing

struct SQLTests {
  @Test func numbersParametersInOrder() {
    let statement: SQL = "SELECT \(1), \("two") FROM t WHERE a = \(true)"
    #expect(statement.text == "SELECT $1, $2 FROM t WHERE a = $3")
    #expect(statement.parameterCount == 3)
  }

  @Test func renumbersSplicedFragments() {
    let condition: SQL = "a = \(1) AND b = \(2)"
    let statement: SQL = "SELECT \("x") FROM t WHERE \(fragment: condition) LIMIT \(10)"
    #expect(statement.text == "SELECT $1 FROM t WHERE a = $2 AND b = $3 LIMIT $4")
    #expect((statement + " OFFSET \(5)").text.hasSuffix("LIMIT $4 OFFSET $5"))
  }

  @Test func joinsFragments() {
    let conditions: [SQL] = ["a = \(1)", "b = \(2)", "c IS NULL"]
    let joined = SQL.joined(conditions, separator: " AND ")
    #expect(joined.text == "a = $1 AND b = $2 AND c IS NULL")
    #expect(SQL.joined([], separator: ", ").text.isEmpty)
  }

  @Test func quotesIdentifiers() {
    let statement: SQL = "SELECT * FROM \(identifier: "we\"ird; DROP TABLE x")"
    #expect(statement.text == "SELECT * FROM \"we\"\"ird; DROP TABLE x\"")
  }

  @Test func splicesTrustedText() {
    let statement: SQL = "SELECT 1 \(trusted: "FOR UPDATE")"
    #expect(statement.text == "SELECT 1 FOR UPDATE")
  }

  @Test func descriptionHidesValues() {
    let statement: SQL = "SELECT \("secret")"
    #expect(!String(describing: statement).contains("secret"))
  }
}
