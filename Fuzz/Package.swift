// swift-tools-version: 6.2
import PackageDescription

// Built with the sanitizer `fuzzer`, which brings the program's main(): see README.md.
let package = Package(
    name: "holdfast-fuzz",
    platforms: [.macOS(.v26)],
    dependencies: [.package(name: "holdfast", path: "..", traits: [])],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                .product(name: "Holdfast", package: "holdfast"),
                .product(name: "HoldfastTesting", package: "holdfast"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .strictMemorySafety(),
                .treatAllWarnings(as: .error),
            ]
        )
    ],
    swiftLanguageModes: [.v6]
)
