internal import FoundationEssentials
internal import Migrations
package import Postgres
package import Testing

/// A database of one test's own, with every migration applied.
package struct TestDatabase: Sendable {
  /// The database of the running test; nil outside of the trait `.database`.
  @TaskLocal static var running: TestDatabase?

  package let configuration: Configuration

  /// The database of the running test.
  ///
  /// - Throws: An error that names the missing trait.
  package static var current: TestDatabase {
    get throws {
      guard let running else { throw TestDatabaseError("The test lacks the trait .database") }
      return running
    }
  }

  /// The folder of the package, which holds `migrations`.
  package static let packageFolder: String = {
    let parts = #filePath.split(separator: "/").dropLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  package static var migrationsFolder: String { packageFolder + "/migrations" }

  /// Makes a pool that the body's end closes.
  package func withPool<Value>(size: Int = 4, _ body: (Pool) async throws -> Value) async throws -> Value {
    let pool = Pool(configuration, size: size)
    do {
      let value = try await body(pool)
      await pool.close()
      return value
    } catch {
      await pool.close()
      throw error
    }
  }
}

/// Why a test has no database.
package struct TestDatabaseError: Error, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Gives each test a fresh database.
package struct DatabaseTrait: SuiteTrait, TestTrait, TestScoping {
  let isMigrated: Bool

  package var isRecursive: Bool { true }

  @concurrent
  package func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    guard !test.isSuite else { return try await body() }
    let configuration = try await TestServer.shared.makeDatabase(isMigrated: isMigrated)
    do {
      try await TestDatabase.$running.withValue(TestDatabase(configuration: configuration), operation: body)
    } catch {
      await TestServer.shared.drop(configuration)
      throw error
    }
    await TestServer.shared.drop(configuration)
  }
}

extension Trait where Self == DatabaseTrait {
  /// A fresh database with every migration applied.
  package static var database: DatabaseTrait { DatabaseTrait(isMigrated: true) }

  /// A fresh database with nothing in it.
  package static var emptyDatabase: DatabaseTrait { DatabaseTrait(isMigrated: false) }
}
