import ArgumentParser
import CommandLineSupport
import ShardPlanning
import StrictJSON
import TensorCore

/// The files that `plan` writes. Each replaces one of its own kind, and no other file.
struct PlanOutputs {
  let plan: String
  let nodes: String?
  let svg: String?

  private var all: [(option: String, path: String)] {
    var all = [(option: "--output", path: plan)]
    if let nodes { all.append((option: "--write-nodes", path: nodes)) }
    if let svg { all.append((option: "--svg", path: svg)) }
    return all
  }

  /// Throws: `FileFault` or `ValidationError` where one of them could not or must not be written.
  func check() throws {
    var options: [String: String] = [:]
    for (option, path) in all {
      // The directories of the plan and of the nodes are made where they are missing.
      let parent = Directory.parent(of: path)
      let isMade = option != "--svg" || parent == Directory.parent(of: plan)
      try OutputPlace.check(path, option: option, created: isMade ? parent : nil)
      if let other = options.updateValue(option, forKey: OutputPlace.canonical(path)) {
        throw ValidationError("\(other) and \(option) both name \(path); give each its own file.")
      }
    }
    try refuse(plan, "--output", unless: "plan") { Self.schema($0, is: "shardtool.plan") }
    if let nodes {
      try refuse(nodes, "--write-nodes", unless: "list of nodes") {
        Self.schema($0, is: Cluster.schema)
      }
    }
    if let svg {
      try refuse(svg, "--svg", unless: "picture of a plan") { PlanPicture.isPicture($0) }
    }
  }

  private func refuse(
    _ path: String, _ option: String, unless kind: String, _ isOurs: ([UInt8]) -> Bool
  ) throws {
    guard Directory.isFile(path) else { return }
    let file = try InputFile(path: path)
    let bytes = try file.bytes(at: 0, count: min(file.byteCount, 4 << 20))
    guard !isOurs(bytes) else { return }
    throw FileFault(
      code: "plan.foreignFile",
      message: "\(path) exists and is no \(kind); give another \(option) or remove it",
      exitStatus: .cannotCreate, path: path)
  }

  private static func schema(_ bytes: [UInt8], is prefix: String) -> Bool {
    let schema = try? JSONParsing().parse(bytes)["schema"]?.string
    return schema?.hasPrefix(prefix) == true
  }
}
