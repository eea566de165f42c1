package import Logging

/// Turns requests into answers: routing, handler, and the one place where errors become answers.
package struct RequestPipeline: Sendable {
  enum Plan: Sendable {
    case route(Router.Route, PathParameters, RequestTarget)
    case refuse(HTTPProblem)
    case options([HTTPMethod])
  }

  let router: Router
  let logger: Logger
  let defaultHeaders: HTTPHeaders

  package init(router: Router, logger: Logger, defaultHeaders: HTTPHeaders = [:]) {
    self.router = router
    self.logger = logger
    self.defaultHeaders = defaultHeaders
  }

  func plan(_ method: HTTPMethod, _ rawTarget: String) -> Plan {
    do throws(HTTPProblem) {
      let target = try RequestTarget(rawTarget)
      switch router.resolve(method, target.segments) {
      case .found(let route, let parameters): return .route(route, parameters, target)
      case .wrongMethod(let allowed):
        return method == .options ? .options(allowed) : .refuse(.methodNotAllowed(allowed))
      case .notFound: return .refuse(.notFound())
      }
    } catch {
      return .refuse(error)
    }
  }

  /// Runs a handler; whatever it throws becomes an answer.
  func run(_ handler: HTTPHandler, _ request: HTTPRequest) async -> HTTPResponse {
    do {
      return finished(try await handler(request), requestID: request.id)
    } catch {
      return answer(to: error, requestID: request.id)
    }
  }

  /// The answer to an error: what it says itself, or a 500 without details and a log record with them.
  func answer(to error: any Error, requestID: String) -> HTTPResponse {
    if let known = error as? any HTTPError { return refusal(known.problem, requestID: requestID) }
    if error is CancellationError {
      return refusal(.unavailable("The request was canceled by the server; try again"), requestID: requestID)
    }
    if !(error is ClientGone) {
      logger.error("A request failed", ["request": requestID, "error": .error(error)])
    }
    return refusal(.internalError(requestID: requestID), requestID: requestID)
  }

  func refusal(_ problem: HTTPProblem, requestID: String) -> HTTPResponse {
    finished(problem.response(), requestID: requestID)
  }

  func options(_ allowed: [HTTPMethod], requestID: String) -> HTTPResponse {
    let list = allowed.map(\.rawValue).joined(separator: ", ")
    return finished(HTTPResponse(status: 204, headers: ["allow": list]), requestID: requestID)
  }

  private func finished(_ response: HTTPResponse, requestID: String) -> HTTPResponse {
    var response = response
    for field in defaultHeaders.fields where response.headers[field.name] == nil {
      response.headers.add(field.name, field.value)
    }
    response.headers.set("x-request-id", requestID)
    return response
  }
}
