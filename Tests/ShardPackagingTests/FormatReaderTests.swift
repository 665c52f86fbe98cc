import Foundation
import Quantization
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// The reader in Python, written from docs/format.md alone, sees what we see.
@Suite struct FormatReaderTests {
  private static let script = "\(Places.packageRoot)/Tests/FormatReader/read_bundle.py"
  private static let python: String? =
    ["/usr/bin/python3", "/usr/local/bin/python3"]
    .first { FileManager.default.isExecutableFile(atPath: $0) }
    ?? ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":")
    .map { "\($0)/python3" }.first { FileManager.default.isExecutableFile(atPath: $0) }

  /// Runs the reader; nil where this machine lacks Python or Zstandard for it.
  private func read(_ arguments: [String]) throws -> ProgramRun? {
    guard let python = Self.python else {
      print("no python3 here: the independent reader was not run")
      return nil
    }
    let run = try ProgramRun.run(python, [Self.script] + arguments)
    guard run.status != 3 else {
      print("no Zstandard for python3 here: the independent reader was not run")
      return nil
    }
    return run
  }

  @Test func verifiesTheFixture() throws {
    let bundle = Places.fixture("small-bundle/bundle")
    for directory in [bundle, "\(bundle)/nodes/node-0", "\(bundle)/nodes/node-1"] {
      let key = Places.fixture("small-bundle/keys/test.key.pub")
      guard let run = try read(["verify", directory, key]) else { return }
      #expect(run.status == 0, "\(run.errors)")
      let package = try VerifiedPackage.open(directory: directory)
      #expect(run.output.contains(package.bundleID))
    }
  }

  /// Signatures of ours under keys of ours, and what is not signed so.
  @Test func checksSignatures() throws {
    let signed = try SignedBundle()
    let other = try KeyPair(writingTo: signed.place.appending("other.key"))
    let own = signed.place.appending("own.pub")
    try Directory.writeAtomically(Array(signed.key.publicKey.fileText.utf8), to: own)
    guard let good = try read(["verify", signed.node, own]) else { return }
    #expect(good.status == 0, "\(good.errors)")
    #expect(try read(["verify", signed.node, other.publicPath])?.status == 1)
    try BundleSigning.sign(signed.node, with: SigningKey(path: other.privatePath))
    #expect(try read(["verify", signed.node, other.publicPath])?.status == 0)
    try signed.sign(signed.node, by: [signed.key], type: "a/b")
    #expect(try read(["verify", signed.node, own])?.status == 1)
    try Directory.remove("\(signed.node)/signature.json")
    #expect(try read(["verify", signed.node, own])?.status == 1)
    #expect(try read(["verify", signed.node])?.status == 0)
  }

  @Test func dequantizesToTheSameBits() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(layers: 2, hidden: 48, tiesEmbeddings: true)
    let quantized = try model.write(to: place.appending("quantized"))
    let bundle = place.appending("bundle")
    try Packager.pack(quantized, plan: model.plan([1, 1]), to: bundle, chunkByteCount: 777)
    for tensor in quantized.tensors.values.sorted(by: { $0.name < $1.name }) {
      // The last node has the head, and so the tied embedding too.
      let isLast = !tensor.name.contains("layers.0")
      let directory = isLast ? "\(bundle)/nodes/node-1" : bundle
      guard let run = try read(["dequantize", directory, tensor.name]) else { return }
      #expect(run.status == 0, "\(run.errors)")
      var values = [Float](repeating: 0, count: tensor.elementCount)
      var span = values.mutableSpan
      try quantized.readFloats(tensor, rows: 0..<tensor.rows, into: &span)
      let words = run.output.split(whereSeparator: \.isWhitespace)
      #expect(words.map { UInt32($0, radix: 16) } == values.map(\.bitPattern), "\(tensor.name)")
    }
  }

  @Test func refusesWhatWeRefuse() throws {
    let place = try TemporaryDirectory()
    let node = place.appending("node")
    let key = Places.fixture("small-bundle/keys/test.key.pub")
    try copyTree(Places.fixture("small-bundle/bundle/nodes/node-0"), to: node)
    var generator = SeededGenerator(seed: 7)
    for (path, bytes) in try contents(of: node).sorted(by: { $0.key < $1.key }) {
      for _ in 0..<3 {
        var damaged = bytes
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        damaged[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        try Directory.writeAtomically(damaged, to: "\(node)/\(path)")
        guard let run = try read(["verify", node, key]) else { return }
        #expect(run.status == 1, "byte \(index) of \(path): \(run.output)\(run.errors)")
        #expect(run.errors.hasPrefix("refused"))
      }
      try Directory.writeAtomically(bytes, to: "\(node)/\(path)")
    }
    let run = try read(["verify", node, key])
    #expect(run == nil || run?.status == 0)
  }
}
