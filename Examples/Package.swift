// swift-tools-version: 6.2
//
// Three services on Holdfast, as the documentation describes them. `scripts/check examples` builds and runs them.
import PackageDescription

let package = Package(
    name: "examples",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "holdfast", path: ".."),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        .executableTarget(
            name: "daemon",
            dependencies: [
                .product(name: "Holdfast", package: "holdfast"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .executableTarget(
            name: "web",
            dependencies: [
                .product(name: "Holdfast", package: "holdfast"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ]
        ),
        .executableTarget(
            name: "queue",
            dependencies: [.product(name: "Holdfast", package: "holdfast")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
