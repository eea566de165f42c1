import HTTPServer
import Identity
import JSONDocument
import Postgres
import TestSupport
import Testing

/// What people see of an account's credentials, and what they can do about them.
@Suite(.database) struct ConnectionHealthTests {
  private static let base = "/api/admin/distribution/connections"

  @Test func healthOfEnteredCredentials() async throws {
    try await APIFixture.run { fixture in
      let answer = await fixture.get("\(Self.base)/\(fixture.connection)/health", as: .viewer)
      #expect(answer.status == 200)
      #expect(answer.json.pointer("/data/status")?.stringValue == "active")
      #expect(answer.json.pointer("/data/isValid") == true)
      #expect(answer.json.pointer("/data/isRenewed") == false)
      #expect(answer.json.pointer("/data/expiresAt")?.isNull == true)
      #expect(answer.json.pointer("/data/failure")?.isNull == true)
    }
  }

  @Test func failuresAreTold() async throws {
    try await APIFixture.run { fixture in
      try await fixture.pool.execute(
        """
        UPDATE platform_connections SET scopes = '{write}', token_issued_at = now() - interval '1 h',
          expires_at = now() - interval '1 s', renew_at = now() - interval '10 min', renewal_generation = generation,
          renewal_fault = 'passing', renewal_error = 'The platform answered 503', renewal_failed_at = now(),
          renewal_retry_at = now() + interval '1 min', renewal_failures = 2
        WHERE id = \(fixture.connection)
        """
      )
      let answer = await fixture.get("\(Self.base)/\(fixture.connection)/health", as: .viewer)
      #expect(answer.json.pointer("/data/isValid") == false)
      #expect(answer.json.pointer("/data/isRenewed") == true)
      #expect(answer.json.pointer("/data/scopes/0")?.stringValue == "write")
      #expect(answer.json.pointer("/data/failure/message")?.stringValue == "The platform answered 503")
      #expect(answer.json.pointer("/data/failure/count")?.int64Value == 2)
      // Other credentials: what was said of the former ones says nothing of them.
      try await fixture.pool.execute("UPDATE platform_connections SET generation = generation + 1")
      let after = await fixture.get("\(Self.base)/\(fixture.connection)/health", as: .viewer)
      #expect(after.json.pointer("/data/failure")?.isNull == true)
    }
  }

  @Test func enteredCredentialsCanNotBeRenewed() async throws {
    try await APIFixture.run { fixture in
      let answer = await fixture.send(.put, "\(Self.base)/\(fixture.connection)/refresh", as: .admin)
      #expect(answer.status == 409)
      #expect(answer.json.pointer("/error/code")?.stringValue == "nothing_to_renew")
    }
  }

  @Test func disconnectingSaysWhatThePlatformDid() async throws {
    try await APIFixture.run { fixture in
      let answer = await fixture.send(.delete, "\(Self.base)/\(fixture.connection)", as: .admin)
      #expect(answer.status == 200)
      #expect(answer.json.pointer("/data/revocation")?.stringValue == "unsupported")
    }
  }
}
