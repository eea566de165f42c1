/// Methods a plugin can answer, as the host knows them.
package enum PluginMethods {
  package static let platform: Set<String> = [
    "account/capabilities", "account/identify", "account/list", "post/delete", "post/metrics", "post/publish",
    "post/reconcile", "post/render", "post/validate",
  ]
  package static let llm: Set<String> = ["llm/generate", "llm/models"]
  /// Methods that must compute their answer alone: no host calls are allowed during them.
  package static let pure: Set<String> = ["post/render", "post/validate"]
}
