import Foundation
import Quantization
import ShardPackaging
import ShardPlanning
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The bundle in fixtures/small-bundle, which docs/format.md takes its examples from. It stays
/// readable as long as this major version lives.
@Suite struct FixtureTests {
  private static let root = Places.fixture("small-bundle")

  /// Writes the fixture anew and fails, when SHARD_RECORD is set; for deliberate changes only.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SHARD_RECORD"] != nil))
  func record() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(layers: 2, hidden: 8, vocabulary: 8)
    let quantized = try model.write(to: place.appending("quantized"))
    let plan = try model.plan([1, 1])
    let origin = Provenance(
      recipe: try Recipe.uniform("q4"),
      sources: [
        ("config.json", .configuration), ("model.safetensors", .weights), ("LICENSE", .licence),
      ].map { name, role in
        let text = Array("not a real \(name)".utf8)
        return .init(name: name, role: role, byteCount: text.count, digest: Digest(of: text))
      })
    try Directory.writeAtomically(
      Array(origin.fileText.utf8), to: "\(quantized.directory)/\(Provenance.fileName)")
    try Packager.pack(
      quantized, plan: plan, to: place.appending("bundle"), chunkByteCount: 256,
      release: try Self.release())
    for name in ["quantized", "bundle"] {
      try Directory.remove("\(Self.root)/\(name)")
      try copyTree(place.appending(name), to: "\(Self.root)/\(name)")
    }
    try Directory.writeAtomically(
      Array(plan.json.serialized(.pretty).utf8), to: "\(Self.root)/plan.json")
    Issue.record("recorded \(Self.root); commit it and run without SHARD_RECORD")
  }

  /// How the fixture is called and whose it is: keys/ comes from generator/make_key.py.
  private static func release() throws -> BundleRelease {
    BundleRelease(
      name: "small-bundle", sequence: 3, key: try SigningKey(path: "\(root)/keys/test.key"))
  }

  /// The key of the generator script, and the signature that it makes.
  @Test func isSigned() throws {
    let key = try PublicKey(path: "\(Self.root)/keys/test.key.pub")
    #expect(try SigningKey(path: "\(Self.root)/keys/test.key").publicKey == key)
    let place = try TemporaryDirectory()
    let trust = TrustRequirement(
      policy: .enforce, keys: [key], statePath: place.appending("state.json"))
    let package = try VerifiedPackage.open(directory: "\(Self.root)/bundle", trust: trust)
    let report = try package.verifyAll()
    #expect(report.trustedKeys == [key.id.description] && report.doubts.isEmpty)
    #expect(package.manifest.name == "small-bundle" && package.manifest.sequence == 3)
    #expect(
      package.manifest.provenance.sources.map(\.role) == [.licence, .configuration, .weights])
  }

  @Test func staysReadable() throws {
    let package = try VerifiedPackage.open(directory: "\(Self.root)/bundle")
    #expect(package.nodeNames == ["node-0", "node-1"])
    #expect(try package.verifyAll().nodeDirectories.count == 2)
    for name in package.nodeNames {
      _ = try VerifiedPackage.open(directory: "\(Self.root)/bundle/nodes/\(name)").verifyAll()
    }
  }

  /// Identities are the same on every machine; the bytes are, where the compressor is the same.
  @Test func packsToTheSameIdentity() throws {
    let place = try TemporaryDirectory()
    let quantized = try QuantizedCheckpoint(directory: "\(Self.root)/quantized")
    let plan = try ShardPlan.read(from: "\(Self.root)/plan.json")
    let manifest = try Packager.pack(
      quantized, plan: plan, to: place.appending("bundle"), chunkByteCount: 256,
      release: try Self.release()
    ).manifest
    let recorded = try VerifiedPackage.open(directory: "\(Self.root)/bundle").manifest
    #expect(manifest.modelID == recorded.modelID)
    #expect(manifest.bundleID == recorded.bundleID)
    guard manifest.compressor == recorded.compressor else {
      print("the fixture was made by \(recorded.compressor), this is \(manifest.compressor)")
      return
    }
    #expect(
      try contents(of: place.appending("bundle")) == contents(of: "\(Self.root)/bundle"))
  }

  /// Every dump in docs/format.md shows bytes of the fixture: `hexdump -C` of a file.
  @Test func documentShowsTheseBytes() throws {
    let text = try String(
      contentsOfFile: "\(Places.packageRoot)/docs/format.md", encoding: .utf8)
    var file: [UInt8]?
    var checked = 0
    for line in text.split(separator: "\n").map(String.init) {
      if line.hasPrefix("<!-- bytes of ") {
        let name = line.dropFirst(14).prefix { $0 != " " }
        file = try InputFile.contents(of: "\(Self.root)/bundle/\(name)")
      }
      let words = line.split(separator: "|")[0].split(separator: " ").map(String.init)
      guard let file, line.hasPrefix("    0"), words.count > 1, words[0].count == 8,
        let offset = Int(words[0], radix: 16)
      else { continue }
      for (index, word) in words.dropFirst().enumerated() {
        #expect(file[offset + index] == UInt8(word, radix: 16), "\(line)")
        checked += 1
      }
    }
    #expect(checked > 200)
  }

  /// The grids in docs/format.md are those of the decoder.
  @Test func documentShowsTheseGrids() throws {
    let text = try String(
      contentsOfFile: "\(Places.packageRoot)/docs/format.md", encoding: .utf8)
    for grid in 0...1 {
      let line = try #require(
        text.split(separator: "\n").first { $0.hasPrefix("    grid \(grid): ") })
      let numbers = line.dropFirst(12).split(separator: " ").compactMap { Float($0) }
      #expect(numbers.count == 16)
      // One row of 32 columns whose codes are 0…15 twice, row scale 1, block scale 1 · grid.
      let one = Float(1).bitPattern
      let scale = (0..<4).map { UInt8(truncatingIfNeeded: one >> UInt32(8 * $0)) }
      let block = UInt8(128 | grid)
      let codes = (0..<16).map { index -> UInt8 in
        let low = UInt8((2 * index) % 16)
        return low | (low + 1) << 4
      }
      var values = [Float](repeating: 0, count: 32)
      var span = values.mutableSpan
      try Schemes.q4.decode(
        planes: [scale, [block, block], codes], rowCount: 1, columns: 32, into: &span)
      #expect(values == numbers + numbers)
    }
  }
}
