// swift-tools-version: 6.2
import PackageDescription

// Apart from the comparison beside it, whose build would otherwise wait for all that this fetches.
let package = Package(
    name: "suite",
    platforms: [.macOS(.v26)],
    dependencies: [
        .package(name: "holdfast", path: "../.."),
        // No traits: jemalloc, which counts allocations, is not to be had everywhere; a test of Holdfast counts them.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "HoldfastBenchmarks",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "Holdfast", package: "holdfast"),
                .product(name: "_HoldfastBench", package: "holdfast"),
            ],
            path: "Benchmarks/HoldfastBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        )
    ],
    swiftLanguageModes: [.v6]
)
