// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]
let cSettings: [CSetting] = [
    .define("_GNU_SOURCE", .when(platforms: [.linux])),
    .enableWarning("all"),
    .enableWarning("extra"),
    .treatAllWarnings(as: .error),
]
// Only the trait Etcd needs these: without it a build, and a consumer, fetch none of them.
func etcd(_ product: String, _ package: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: ["Etcd"]))
}
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "holdfast",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Holdfast", targets: ["Holdfast"]),
        .library(name: "HoldfastTesting", targets: ["HoldfastTesting"]),
        .library(name: "HoldfastEtcd", targets: ["HoldfastEtcd"]),
        // What measures, for the comparison in Benchmarks; no promise to anybody else.
        .library(name: "_HoldfastBench", targets: ["HoldfastBench"]),
    ],
    traits: [
        .trait(name: "JSON", description: "JSONCodec: typed state as JSON, over FoundationEssentials."),
        .trait(name: "Etcd", description: "HoldfastEtcd: locks and state of several machines, over etcd by gRPC."),
        .default(enabledTraits: ["JSON"]),
    ],
    dependencies: [
        // Only the command line needs it; it is no product, so a consumer of the library does not fetch this.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        // A unique name: two packages that both call a target "CShims" cannot be used together.
        .target(name: "_HoldfastCShims", path: "CShims"),
        .target(name: "Holdfast", dependencies: ["_HoldfastCShims"]),
        .target(
            name: "HoldfastEtcd",
            dependencies: [
                "Holdfast", "_HoldfastCShims",
                etcd("GRPCCore", "grpc-swift-2"),
                etcd("GRPCNIOTransportHTTP2Posix", "grpc-swift-nio-transport"),
                etcd("GRPCProtobuf", "grpc-swift-protobuf"),
                etcd("SwiftProtobuf", "swift-protobuf"),
                etcd("Logging", "swift-log"),
            ],
            exclude: ["etcd.proto"]
        ),
        .target(name: "HoldfastTesting", dependencies: ["Holdfast", "_HoldfastCShims"]),
        // What the crash explorer is run on: by the tests shortly, by holdfast-stress for long.
        .target(name: "CrashWorkloads", dependencies: ["Holdfast", "HoldfastTesting", "_HoldfastCShims"]),
        .target(name: "_HoldfastFloors", path: "Sources/_HoldfastFloors"),
        .target(name: "_HoldfastStressShims", path: "Sources/_HoldfastStressShims"),
        .target(name: "ToolProcesses", dependencies: ["Holdfast", "_HoldfastCShims"]),
        .target(
            name: "HoldfastBench",
            dependencies: ["Holdfast", "ToolProcesses", "_HoldfastCShims", "_HoldfastFloors"]
        ),
        .executableTarget(
            name: "holdfastctl",
            dependencies: ["Holdfast", "HoldfastBench", "ToolProcesses", "_HoldfastCShims", argumentParser]
        ),
        .executableTarget(
            name: "holdfast-stress",
            dependencies: [
                "Holdfast", "HoldfastTesting", "CrashWorkloads", "_HoldfastCShims", "_HoldfastStressShims",
                argumentParser,
            ]
        ),
        // A client of its own process, for the tests to kill and to stop.
        .executableTarget(
            name: "holdfast-etcd-worker",
            dependencies: ["Holdfast", "HoldfastEtcd"],
            path: "Tests/HoldfastEtcdWorker"
        ),
        .testTarget(
            name: "HoldfastEtcdTests",
            dependencies: [
                "Holdfast", "HoldfastEtcd", "holdfast-etcd-worker", etcd("GRPCCore", "grpc-swift-2"),
                etcd("SwiftProtobuf", "swift-protobuf"), etcd("Logging", "swift-log"),
            ]
        ),
        .target(name: "_HoldfastTestShims", path: "Tests/_HoldfastTestShims"),
        .testTarget(
            name: "HoldfastTests",
            dependencies: [
                "Holdfast", "HoldfastTesting", "CrashWorkloads", "_HoldfastCShims", "_HoldfastTestShims", "holdfastctl",
                "holdfast-stress",
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets {
    // C targets start with an underscore; every other one is Swift.
    if target.name.hasPrefix("_") {
        target.cSettings = cSettings
    } else {
        target.swiftSettings = swiftSettings
    }
}
