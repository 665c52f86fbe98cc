import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Bundles that are not whole are refused before anything of them runs.
extension EndToEnd {
  @Suite struct Damage {
    /// Flips a bit in the middle of the largest blob that only this node holds.
    private func damage(_ bundle: String, node: String) throws -> String {
      func blobs(_ node: String) throws -> Set<String> {
        Set(try Directory.names(in: "\(bundle)/nodes/\(node)/blobs/sha256"))
      }
      var own = try blobs(node)
      for other in try Directory.names(in: bundle + "/nodes") where other != node {
        own.subtract(try blobs(other))
      }
      let folder = "\(bundle)/nodes/\(node)/blobs/sha256"
      let sizes = try own.map { ($0, try InputFile(path: "\(folder)/\($0)").byteCount) }
      let blob = try #require(sizes.max { $0.1 < $1.1 }?.0)
      var bytes = try InputFile.contents(of: "\(folder)/\(blob)")
      bytes[bytes.count / 2] ^= 4
      try Directory.remove("\(folder)/\(blob)")
      try Directory.writeAtomically(bytes, to: "\(folder)/\(blob)")
      // The bundle's own name for the blob is another link to the sound bytes.
      try Directory.remove("\(bundle)/blobs/sha256/\(blob)")
      try Directory.link("\(folder)/\(blob)", to: "\(bundle)/blobs/sha256/\(blob)")
      return blob
    }

    @Test(arguments: ["node-0", "node-1", "node-2"])
    func aFlippedBitIsRefusedAndNamed(node: String) throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.copy(
        of: try models.bundle(bits: 4, split: [2, 2, 2]), name: "damaged-\(node)")
      let blob = try damage(bundle, node: node)
      let run = try ProgramRun.run("shardrun", ["generate", bundle, "--prompt", "Once", "--json"])
      #expect(run.status == 65, "\(run.output) \(run.errors)")
      let error = try #require(try JSONParsing().parse(run.output)["error"])
      #expect(error["message"]?.string?.contains(blob.prefix(12)) == true)
      if node != "node-0" { #expect(error["node"]?.string == node) }
      let verified = try ProgramRun.run("shardrun", ["verify", bundle])
      #expect(verified.status == 65 && verified.errors.contains(blob.prefix(12)))
      let part = try ProgramRun.run("shardrun", ["verify", "\(bundle)/nodes/\(node)"])
      #expect(part.status == 65)
    }

    @Test func aSoundBundleVerifies() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      for path in [bundle, "\(bundle)/nodes/node-1"] {
        let run = try shardrun(["verify", path])
        #expect(!run.output.isEmpty)
      }
    }

    @Test func aManifestOfAnotherBundleIsRefused() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.copy(
        of: try models.bundle(bits: 4, split: [2, 2, 2]), name: "mixed")
      let other = try models.bundle(bits: 4, split: [1, 1, 4])
      let manifest = try InputFile.contents(of: "\(other)/nodes/node-1/manifest.json")
      try Directory.writeAtomically(manifest, to: "\(bundle)/nodes/node-1/manifest.json")
      let run = try ProgramRun.run("shardrun", ["generate", bundle, "--prompt", "Once"])
      #expect([65, 66].contains(run.status) && run.errors.contains("node-1"), "\(run.errors)")
    }
  }
}
