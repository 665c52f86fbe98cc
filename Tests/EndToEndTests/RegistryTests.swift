import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// A registry of this test's own: on a loopback port that the system chose, with its storage in a
/// temporary directory.
private final class Registry {
  static let program = "/usr/bin/docker-registry"
  static let skopeo = "/usr/bin/skopeo"
  static let missing = "make deps-test installs docker-registry and skopeo"

  static var isInstalled: Bool {
    [program, skopeo].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
  }

  let place: TemporaryDirectory
  let address: String
  private let process: RunningProgram

  init() throws {
    place = try TemporaryDirectory()
    let configuration = place.appending("registry.yml")
    let text = """
      version: 0.1
      log: {level: info, formatter: json}
      storage: {filesystem: {rootdirectory: \(place.appending("storage"))}}
      http: {addr: "127.0.0.1:0"}
      """
    try Directory.writeAtomically(Array(text.utf8), to: configuration)
    let process = try RunningProgram(Self.program, ["serve", configuration])
    self.process = process
    var found: String?
    _ = RunningProgram.wait(seconds: 20) {
      found = Self.port(in: process.errors + process.output)
      return found != nil || !process.isRunning
    }
    address = "127.0.0.1:\(try #require(found, "\(process.errors)"))"
  }

  /// The port of "listening on 127.0.0.1:43210".
  private static func port(in log: String) -> String? {
    guard let start = log.range(of: "listening on 127.0.0.1:") else { return nil }
    let digits = log[start.upperBound...].prefix { $0.isNumber }
    return digits.count < log[start.upperBound...].count ? String(digits) : nil
  }

  /// `skopeo copy` with whatever policy this machine has for strangers' images left aside.
  func copy(_ source: String, _ target: String) throws {
    let run = try ProgramRun.run(
      Self.skopeo,
      [
        "--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false",
        "--dest-tls-verify=false", source, target,
      ],
      environment: ["HOME": place.path, "REGISTRY_AUTH_FILE": place.appending("auth.json")])
    #expect(run.status == 0, "skopeo copy \(source) \(target): \(run.errors)")
  }
}

extension EndToEnd {
  @Suite struct Registries {
    private func tool(_ arguments: [String]) throws -> ProgramRun {
      let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
      #expect(run.status == 0, "shardtool \(arguments.joined(separator: " ")): \(run.errors)")
      return run
    }

    /// Name and bytes of all blobs of a layout.
    private func blobs(_ layout: String) throws -> [String: [UInt8]] {
      var blobs: [String: [UInt8]] = [:]
      for name in try Directory.names(in: "\(layout)/blobs/sha256") {
        blobs[name] = try InputFile.contents(of: "\(layout)/blobs/sha256/\(name)")
      }
      return blobs
    }

    @Test(.enabled(if: Registry.isInstalled, "\(Registry.missing)"))
    func aBundleGoesThroughARegistryAndRuns() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [2, 2, 2])
      let registry = try Registry()
      let (layout, back) = (registry.place.appending("layout"), registry.place.appending("back"))
      let export = try JSONParsing().parse(
        try tool(["export", bundle, "--format", "oci", "--output", layout, "--json"]).output)
      #expect(try violations(of: "shardtool.export", export).isEmpty)
      let images = export["images"]?.array ?? []
      #expect(images.count == 3)
      for node in images.compactMap({ $0["node"]?.string }) {
        let remote = "docker://\(registry.address)/tiny/fable:\(node)"
        try registry.copy("oci:\(layout):\(node)", remote)
        try registry.copy(remote, "oci:\(back):\(node)")
      }
      #expect(try blobs(back) == blobs(layout))
      let index = try JSONParsing().parse(try InputFile.contents(of: "\(back)/index.json"))
      #expect(
        index["manifests"]?.array?.map { $0["digest"] } == images.map { $0["digest"] })

      let copy = registry.place.appending("copy")
      let restored = try JSONParsing().parse(
        try tool(["import", back, "--output", copy, "--json"]).output)
      #expect(try violations(of: "shardtool.import", restored).isEmpty)
      _ = try tool(["verify", copy])
      let arguments = ["--local", "--prompt", "Once upon a time", "--max-tokens", "24", "--quiet"]
      let expected = try shardrun(["generate", bundle] + arguments).output
      #expect(try shardrun(["generate", copy] + arguments).output == expected)
      #expect(!expected.isEmpty)
    }

    /// What a laptop does that needs one node: one image, its directory, nothing else.
    @Test(.enabled(if: Registry.isInstalled, "\(Registry.missing)"))
    func oneNodeComesFromARegistryAlone() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [2, 2, 2])
      let registry = try Registry()
      let (layout, back) = (registry.place.appending("layout"), registry.place.appending("back"))
      _ = try tool(["export", bundle, "--format", "oci", "--node", "node-1", "--output", layout])
      let remote = "docker://\(registry.address)/tiny/fable:second"
      try registry.copy("oci:\(layout):node-1", remote)
      try registry.copy(remote, "oci:\(back):laptop")
      let node = registry.place.appending("node")
      _ = try tool(["import", back, "--output", node])
      let run = try ProgramRun.run("shardrun", ["verify", node, "--json"])
      #expect(run.status == 0, "\(run.errors)")
      let report = try JSONParsing().parse(run.output)
      #expect(report["nodes"] == ["node-1"])
      #expect(
        try blobs(node).keys.sorted()
          == Directory.names(in: "\(bundle)/nodes/node-1/blobs/sha256"))
    }
  }
}
