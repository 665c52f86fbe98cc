import Foundation
import Quantization
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// How near stored bytes come to what no code for single bytes can fall below.
@Suite struct CompressionTests {
  private func pack(
    _ model: SmallModel, chunkByteCount: Int = Packager.defaultChunkByteCount, threads: Int = 2
  ) throws -> (quantized: QuantizedCheckpoint, summary: PackSummary, place: TemporaryDirectory) {
    let place = try TemporaryDirectory()
    let quantized = try model.write(to: place.appending("quantized"))
    let summary = try Packager.pack(
      quantized, plan: model.plan([model.layers]), to: place.appending("bundle"),
      threads: threads, chunkByteCount: chunkByteCount)
    return (quantized, summary, place)
  }

  private func storedByteCount(_ manifest: Manifest, scheme: String) -> Int {
    manifest.components.flatMap(\.tensors).filter { $0.stored.scheme.name == scheme }
      .reduce(0) { $0 + $1.storedByteCount }
  }

  /// Normal weights, half a million in each matrix.
  @Test(arguments: [("q8", 1.01), ("f16", 1.03), ("bf16", 1.03)])
  func storedBytesAreNearTheBound(scheme: String, limit: Double) throws {
    var model = SmallModel(layers: 1, hidden: 512, vocabulary: 1024)
    model.schemes = [scheme]
    model.isNormal = true
    let summary = try pack(model).summary
    let bound = try #require(summary.entropyBounds[scheme])
    let stored = storedByteCount(summary.manifest, scheme: scheme)
    #expect(Double(stored) <= limit * Double(bound), "\(scheme): \(stored) of \(bound)")
    // The bound is no invention: less than that is not possible, chunk headers aside.
    #expect(stored >= bound)
  }

  private static let tool = "\(Places.programs)/shardtool"
  private static let isBuilt = Directory.isFile(tool)

  /// The trained model of this repository, and what `pack` says of it. Its matrices are small, so
  /// that the tables of their codes count.
  @Test(.enabled(if: isBuilt), arguments: [("8", "q8", 1.015), ("16", "f16", 1.03)])
  func trainedWeightsAreNearTheBound(bits: String, scheme: String, limit: Double) throws {
    let place = try TemporaryDirectory()
    let run = try ProgramRun.run(
      Self.tool,
      [
        "prepare", Places.fixture("tiny-fable"), "--bits", bits, "--nodes", "1", "--ram", "8G",
        "--output", place.path, "--json", "--quiet",
      ])
    #expect(run.status == 0, "\(run.errors)")
    let report = try JSONParsing().parse(Array(run.output.utf8))["bundle"]
    let entry = try #require(
      report?["schemes"]?.array?.first { $0["scheme"]?.string == scheme })
    let stored = try #require(entry["stored_bytes"]?.int)
    let bound = try #require(entry["entropy_bytes"]?.int)
    #expect(stored >= bound && Double(stored) <= limit * Double(bound), "\(stored) of \(bound)")
    #expect(stored < (try #require(entry["raw_bytes"]?.int)))
  }

  /// The bounds are those of the definition in docs/format.md §6.
  @Test(arguments: [4096, 1 << 20]) func boundsFollowTheDefinition(chunkByteCount: Int) throws {
    let model = SmallModel(layers: 1, hidden: 64, vocabulary: 100)
    let (quantized, summary, place) = try pack(model, chunkByteCount: chunkByteCount)
    withExtendedLifetime(place) {}
    var want: [String: Double] = [:]
    var chunks: [String: Int] = [:]
    for tensor in summary.manifest.components.flatMap(\.tensors) {
      for (index, list) in tensor.planes.enumerated() {
        var offset = 0
        let width = tensor.stored.planes[index].dataType.byteCount
        for chunk in list {
          var bytes = [UInt8](repeating: 0, count: chunk.rawByteCount)
          var span = bytes.mutableSpan
          var raw = unsafe span.mutableBytes
          try quantized.readPlane(
            tensor.stored, plane: index, bytes: offset..<offset + chunk.rawByteCount, into: &raw)
          for part in 0..<width {
            let own = stride(from: part, to: bytes.count, by: width).map { bytes[$0] }
            let counts = Dictionary(grouping: own) { $0 }.values.map { Double($0.count) }
            let bits = counts.reduce(0) { $0 - $1 * log2($1 / Double(own.count)) }
            want[tensor.stored.scheme.name, default: 0] += bits / 8
          }
          chunks[tensor.stored.scheme.name, default: 0] += 1
          offset += chunk.rawByteCount
        }
      }
    }
    #expect(Set(want.keys) == Set(summary.entropyBounds.keys))
    for (scheme, bound) in summary.entropyBounds {
      let exact = try #require(want[scheme])
      // Each chunk's bound is rounded up to a byte.
      let slack = Double(try #require(chunks[scheme])) + 1
      #expect(Double(bound) >= exact - 1 && Double(bound) <= exact + slack, "\(scheme)")
    }
  }

  /// What costs a start more than it saves stays as it is.
  @Test func fourBitWeightsStayRaw() throws {
    var model = SmallModel(layers: 1, hidden: 256, vocabulary: 512)
    model.schemes = ["q4"]
    model.isNormal = true
    let (_, summary, _) = try pack(model)
    for tensor in summary.manifest.components.flatMap(\.tensors)
    where tensor.stored.scheme.name == "q4" {
      #expect(tensor.planes.joined().allSatisfy { $0.codec == .raw }, "\(tensor.stored.name)")
    }
    #expect(summary.entropyBounds["q4"] != nil)
  }

  /// Parts of 16-bit numbers have codes of their own, also where they are shorter than a block.
  @Test func shortPartsHaveTheirOwnCodes() throws {
    var model = SmallModel(layers: 1, hidden: 128, vocabulary: 128)
    model.schemes = ["bf16"]
    model.isNormal = true
    let summary = try pack(model).summary
    let stored = storedByteCount(summary.manifest, scheme: "bf16")
    let bound = try #require(summary.entropyBounds["bf16"])
    // 32 KiB a matrix: the tables of two codes are a percent of it, one code for both parts
    // would cost a sixth.
    #expect(Double(stored) <= 1.05 * Double(bound), "\(stored) of \(bound)")
  }

  /// Blobs that are kept count as those that are made.
  @Test func keptBlobsHaveTheSameBounds() throws {
    let model = SmallModel(layers: 2)
    let (quantized, first, place) = try pack(model)
    let again = try Packager.pack(
      quantized, plan: model.plan([1, 1]), to: place.appending("bundle"))
    #expect(again.keptBlobs.count == 5)
    #expect(again.entropyBounds == first.entropyBounds)
  }
}
