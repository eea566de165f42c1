// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "example-swift",
  dependencies: [.package(name: "rostrum", path: "../../..")],
  targets: [
    .target(
      name: "Adapter",
      dependencies: [.product(name: "PluginKit", package: "rostrum")]
    ),
    .executableTarget(name: "plugin-example-swift", dependencies: ["Adapter"]),
    .testTarget(
      name: "AdapterTests",
      dependencies: ["Adapter", .product(name: "PluginTestKit", package: "rostrum")]
    ),
  ]
)
