/// Answers about tokens that Meta's platforms share.
enum MetaToken {
  static func answer(_ grant: OAuthGrant) -> HTTPResponse {
    .json(
      JSONWriter.object {
        $0.member("access_token", grant.access)
        $0.member("token_type", "bearer")
        if let seconds = grant.expiresIn { $0.member("expires_in", seconds) }
      }
    )
  }

  /// What `debug_token` tells about a token.
  ///
  /// - Parameter now: milliseconds of the server's clock.
  static func description(
    of result: Result<(OAuthPass, OAuthAccount), OAuthRefusal>,
    app: String,
    now: Int64
  ) -> HTTPResponse {
    .json(
      JSONWriter.object { writer in
        writer.object("data") { data in
          switch result {
          case .success((let pass, let account)):
            data.member("app_id", app)
            if case .place(let id) = pass.access.kind {
              data.member("type", "PAGE")
              data.member("profile_id", String(id))
            } else {
              data.member("type", "USER")
            }
            data.member("is_valid", true)
            data.member("issued_at", pass.access.issuedAt / 1000)
            data.member("expires_at", (pass.access.expiresAt ?? 0) / 1000)
            data.array("scopes") { for scope in pass.family.scopes { $0.string(scope) } }
            data.member("user_id", String(account.id))
          case .failure(let refusal):
            let problem = GraphProblem(refusal, now: now)
            data.object("error") {
              $0.member("code", problem.code)
              $0.member("message", problem.message)
              if let subcode = problem.subcode { $0.member("subcode", subcode) }
            }
            data.member("is_valid", false)
            data.array("scopes") { _ in }
          }
        }
      }
    )
  }
}
