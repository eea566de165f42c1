import Postgres
import Testing

struct ConfigurationTests {
  @Test(arguments: [
    "postgres://user:s3cret@db.example.org:6543/rostrum?sslmode=require",
    "host=db.example.org port=6543 dbname=rostrum user=user password=s3cret",
  ])
  func showsThePlaceAndNotThePassword(url: String) throws {
    let configuration = try Configuration(url: url)
    #expect(configuration.place == "db.example.org, port 6543, database rostrum")
    #expect(configuration.databaseName == "rostrum")
    #expect(!configuration.isLocal)
    var dumped = ""
    dump(configuration, to: &dumped)
    for text in ["\(configuration)", String(reflecting: configuration), dumped] {
      #expect(!text.contains("s3cret"))
    }
  }

  @Test(arguments: ["postgres://user:s3cret@[::1/x", "nonsense s3cret", "dbname='s3cret"])
  func refusesNonsenseWithoutQuotingIt(url: String) {
    let error = #expect(throws: PostgresError.self) { try Configuration(url: url) }
    #expect(error?.code == .configuration)
    #expect(error.map { "\($0)" }?.contains("s3cret") == false)
  }

  @Test(arguments: [
    ("postgres:///x?host=/run/postgresql", true), ("postgres://localhost/x", true), ("postgres://127.0.0.1/x", true),
    ("postgres://[::1]/x", true), ("postgres://10.0.0.1/x", false), ("postgres://localhost,db.example.org/x", false),
    ("postgres://localhost/x?hostaddr=10.0.0.1", false),
  ])
  func knowsLocalServers(url: String, isLocal: Bool) throws {
    #expect(try Configuration(url: url).isLocal == isLocal)
  }

  @Test func refusedPasswordIsNotShown() async throws {
    // Nobody listens there, so libpq's own message is what must not quote the password.
    let configuration = try Configuration(url: "postgres://user:nonexistent@/x?host=/nonexistent")
    let error = await #expect(throws: PostgresError.self) { try await Session(configuration).connect() }
    #expect(error?.code == .connection)
    #expect(error?.message.contains("[secret]") == true)
  }

  @Test func readsTheStateOfARefusal() {
    let text = """
      connection to server on socket "/tmp/x" failed: FATAL:  28P01: password authentication failed for user "x"
      LOCATION:  auth_failed, auth.c:335

      """
    let (reason, state) = ConnectionOpener.reason(in: text)
    #expect(state == "28P01")
    #expect(!reason.contains("LOCATION"))
    #expect(reason.hasSuffix("password authentication failed for user \"x\""))
    #expect(ConnectionOpener.reason(in: "could not connect: Connection refused\n").sqlState == nil)
  }
}
