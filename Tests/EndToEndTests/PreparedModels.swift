import Foundation
import TensorCore
import TestSupport
import Testing

/// tiny-fable quantized, planned and packed by the programs, once for all tests.
final class PreparedModels: Sendable {
  static let shared = Result { try PreparedModels() }

  let directory: TemporaryDirectory
  static let source = Places.fixture("tiny-fable")

  private init() throws {
    directory = try TemporaryDirectory()
    for bits in ["4", "16"] {
      try shardtool([
        "quantize", Self.source, "--bits", bits, "--output", directory.appending("q\(bits)"),
      ])
    }
  }

  func path(_ name: String) -> String { directory.appending(name) }

  /// A bundle of the model with so many bits and layers per node; made where it is missing.
  func bundle(bits: Int, split: [Int], sequences: Int = 1) throws -> String {
    let name =
      "b\(bits)-" + split.map(String.init).joined(separator: "-")
      + (sequences > 1 ? "x\(sequences)" : "")
    let path = directory.appending(name)
    if Directory.exists(path) { return path }
    let plan = path + ".plan.json"
    try shardtool([
      "plan", directory.appending("q\(bits)"), "--nodes", "\(split.count)", "--ram", "8G",
      "--split", split.map(String.init).joined(separator: ","), "--sequences", "\(sequences)",
      "--output", plan,
    ])
    try shardtool([
      "pack", directory.appending("q\(bits)"), "--plan", plan, "--output", path,
    ])
    return path
  }

  /// A copy of a bundle whose files can be damaged.
  func copy(of bundle: String, name: String) throws -> String {
    let target = directory.appending(name)
    try? FileManager.default.removeItem(atPath: target)
    try FileManager.default.copyItem(atPath: bundle, toPath: target)
    return target
  }
}

/// Runs shardtool, which has to end well for what comes after it.
func shardtool(_ arguments: [String]) throws {
  let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
  try #require(run.status == 0, "shardtool \(arguments.joined(separator: " ")): \(run.errors)")
}

/// Runs shardrun and expects it to end well.
func shardrun(
  _ arguments: [String], in directory: String? = nil, environment: [String: String] = [:],
  input: String? = nil, location: SourceLocation = #_sourceLocation
) throws -> ProgramRun {
  let run = try ProgramRun.run(
    "shardrun", arguments, in: directory, environment: environment, input: input)
  #expect(
    run.status == 0, "shardrun \(arguments.joined(separator: " ")): \(run.errors)",
    sourceLocation: location)
  return run
}
