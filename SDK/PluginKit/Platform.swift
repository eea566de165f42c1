/// An adapter for one platform, written as straight-line code.
///
/// `publish` and `delete` may run again after a crash, with the same input. Requests that were finished then answer from
/// the host's journal, so the code only has to ask for the same things in the same order: take time and randomness from
/// the job, never from the system. Errors are thrown as `PlatformError`; an error of another type counts as `internal`,
/// and a `JSONTextError` from reading an answer as `platformChanged`.
public protocol Platform: Sendable {
  /// Id, version and methods.
  static var manifest: PlatformManifest { get }

  /// Asks the platform whose token the host holds.
  func identify(_ context: AccountContext) async throws -> AccountIdentity

  /// Says what the account may publish.
  func capabilities(_ context: AccountContext) async throws -> Capabilities

  /// Says what the platform would refuse. Pure: the context has no host calls.
  func validate(_ post: Post, _ context: PureContext) throws -> Validation

  /// Returns the text as it would appear. Pure, and rendering the result again must not change it.
  func render(_ post: Post, _ context: PureContext) throws -> Rendering

  /// Publishes the post.
  func publish(_ post: Post, _ job: JobContext) async throws -> Publication.Published

  /// Looks for a post whose publishing ended without a known outcome.
  func reconcile(_ post: Post, evidence: [Evidence], _ job: JobContext) async throws -> Verdict

  /// Removes a post; one that is gone already counts as removed.
  func delete(_ remoteID: String, _ job: JobContext) async throws
}
