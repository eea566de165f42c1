/// Where bundles come in over the network.
package struct BundleIntake: Sendable {
  package let folder: StoreFolder
  /// Downloads what an address names.
  package let download: @Sendable (_ address: String, _ file: IncomingBundle) async throws -> Void

  package init(
    folder: StoreFolder,
    download: @escaping @Sendable (_ address: String, _ file: IncomingBundle) async throws -> Void
  ) {
    self.folder = folder
    self.download = download
  }
}
