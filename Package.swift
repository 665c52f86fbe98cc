// swift-tools-version: 6.2
// The target graph in path order: a target depends only on rows below it and, inside
// "nouns", only on targets to its left. ARCHITECTURE.md explains the rows.
import PackageDescription

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
]
let tls: [Target.Dependency] = [
  .product(name: "NIOSSL", package: "swift-nio-ssl"),
  .product(name: "NIOTLS", package: "swift-nio"),
]
let openMPI = Target.Dependency.target(name: "CMPI", condition: .when(traits: ["MPI"]))
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies + [argumentParser], swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: strict)
}

let package = Package(
  name: "shardtool",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "shardtool", targets: ["shardtool"]),
    .executable(name: "shardrun", targets: ["shardrun"]),
  ],
  traits: [
    .trait(name: "MPI", description: "shardrun --mpi, with Open MPI from the system")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
  ],
  targets: [
    // C
    .target(name: "CKernels"),
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(
      name: "COpenSSL", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"]), .brew(["openssl"])]),
    .systemLibrary(
      name: "CMPI", pkgConfig: "ompi-c",
      providers: [.apt(["libopenmpi-dev"]), .brew(["open-mpi"])]),

    // ground
    library("StrictJSON"),
    library("TensorCore", ["StrictJSON"]),
    library("TensorKernels", ["CKernels", "TensorCore"]),

    // nouns
    library("Checkpoints", ["StrictJSON", "TensorCore", "TensorKernels"]),
    library(
      "Quantization", ["Checkpoints", "CKernels", "StrictJSON", "TensorCore", "TensorKernels"]),
    library(
      "ModelArchitectures",
      ["Checkpoints", "Quantization", "StrictJSON", "TensorCore", "TensorKernels"]),
    library("ShardPlanning", ["ModelArchitectures", "Quantization", "StrictJSON", "TensorCore"]),
    library(
      "ShardPackaging",
      [
        "Checkpoints", "COpenSSL", "CZstd", "ModelArchitectures", "Quantization", "ShardPlanning",
        "StrictJSON", "TensorCore", "TensorKernels",
      ]),
    library("ShardTransport", ["StrictJSON", "TensorCore"] + nio + tls + [openMPI]),
    library("Tokenization", ["StrictJSON", "TensorCore"]),

    // arrows
    library(
      "ShardPreparation",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "ShardPackaging", "ShardPlanning",
        "StrictJSON", "TensorCore", "TensorKernels", "Tokenization", subprocess,
      ]),
    library(
      "ShardRuntime",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "ShardPackaging", "ShardPlanning",
        "ShardTransport", "StrictJSON", "TensorCore", "TensorKernels", "Tokenization", logging,
      ]),

    // programs
    library("CommandLineSupport", ["TensorCore", "StrictJSON", argumentParser]),
    program(
      "shardtool",
      [
        "Checkpoints", "CommandLineSupport", "ModelArchitectures", "Quantization", "ShardPackaging",
        "ShardPlanning", "ShardPreparation", "StrictJSON", "TensorCore", "TensorKernels",
        "Tokenization",
      ]),
    program(
      "shardrun",
      [
        "Checkpoints", "CommandLineSupport", "ModelArchitectures", "ShardPackaging",
        "ShardPlanning", "ShardRuntime", "ShardTransport", "StrictJSON", "TensorCore",
        "TensorKernels", "Tokenization", logging,
      ]),
    program(
      "shardbench",
      [
        "Checkpoints", "CommandLineSupport", "ModelArchitectures", "Quantization", "ShardPackaging",
        "ShardPlanning", "ShardRuntime", "ShardTransport", "StrictJSON", "TensorCore",
        "TensorKernels",
      ]),

    // tests
    .target(
      name: "TestSupport", dependencies: ["Checkpoints", "StrictJSON", "TensorCore"],
      path: "Tests/TestSupport", swiftSettings: strict),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "Checkpoints", "ModelArchitectures", "ShardPackaging", "ShardPlanning", "StrictJSON",
        "TensorCore", "TestSupport", "Tokenization",
      ],
      path: "Tests/FuzzTargets", swiftSettings: strict),
    tests("FuzzReplayTests", ["FuzzTargets", "TensorCore"]),
    tests("StrictJSONTests", ["StrictJSON"]),
    tests("TensorCoreTests", ["TensorCore"]),
    tests("TensorKernelsTests", ["CKernels", "TensorCore", "TensorKernels"]),
    tests("CheckpointsTests", ["Checkpoints", "StrictJSON", "TensorCore"]),
    tests(
      "QuantizationTests",
      ["Checkpoints", "Quantization", "StrictJSON", "TensorCore", "TensorKernels"]),
    tests(
      "ModelArchitecturesTests",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "StrictJSON", "TensorCore",
        "TensorKernels",
      ]),
    tests(
      "ShardPlanningTests",
      ["ModelArchitectures", "Quantization", "ShardPlanning", "StrictJSON", "TensorCore"]),
    tests(
      "ShardPackagingTests",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "ShardPackaging", "ShardPlanning",
        "ShardPreparation", "StrictJSON", "TensorCore", "TensorKernels",
      ]),
    tests(
      "ShardPreparationTests",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "ShardPreparation", "StrictJSON",
        "TensorCore", "TensorKernels", "Tokenization",
      ]),
    tests("ShardTransportTests", ["ShardPackaging", "ShardTransport", "TensorCore"] + nio),
    tests("TokenizationTests", ["StrictJSON", "TensorCore", "Tokenization"]),
    tests(
      "ShardRuntimeTests",
      [
        "Checkpoints", "ModelArchitectures", "Quantization", "ShardPackaging", "ShardPlanning",
        "ShardPreparation", "ShardRuntime", "ShardTransport", "StrictJSON", "TensorCore",
        "TensorKernels", "Tokenization",
      ]),
    tests(
      "EndToEndTests",
      [
        "Checkpoints", "Quantization", "ShardPackaging", "ShardPlanning", "ShardTransport",
        "StrictJSON", "TensorCore",
      ]),
    tests("TidyTests", ["ModelArchitectures", "ShardPackaging", "StrictJSON", "TensorCore"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)

// libFuzzer links only with a sanitizer; `make fuzz` asks for this program.
if Context.environment["SHARD_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "shardfuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz", exclude: ["fuzz.sh"],
      swiftSettings: strict))
}
