import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore
import TensorKernels

/// Transformer blocks of a usual shape with made-up weights, too large for any cache.
final class ProbeLayers {
  let matrices: [PackedMatrix]
  let blocks: [any TransformerBlock]
  let dimensions: ModelDimensions
  let memory: Memory

  /// What a pass over the blocks needs beside the weights.
  final class Memory {
    let caches: [KeyValueCache]
    let workspace: Workspace
    let hidden: Matrix

    init(_ dimensions: ModelDimensions, layers: Int, threads: Int) {
      caches = (0..<layers).map { _ in
        KeyValueCache(
          keyValueHeads: dimensions.keyValueHeadCount, headDimension: dimensions.headDimension,
          capacity: ProbeLayers.context, format: .f16)
      }
      workspace = Workspace(
        dimensions, rows: ProbeLayers.chunk, context: ProbeLayers.context, threads: threads)
      hidden = Matrix(rows: ProbeLayers.chunk, columns: dimensions.hiddenSize)
    }
  }

  static let context = 512
  static let chunk = 128

  /// A block of Llama with 46 million weights.
  private static func configuration(layers: Int) -> JSONObject {
    [
      "model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632,
      "num_hidden_layers": JSONValue(layers), "num_attention_heads": 16,
      "num_key_value_heads": 4, "vocab_size": 32_000,
      "max_position_embeddings": JSONValue(context), "rms_norm_eps": .double(1e-5),
      "rope_theta": .double(10_000), "hidden_act": "silu", "tie_word_embeddings": false,
    ]
  }

  /// As many blocks in a scheme as fill so many bytes.
  init(_ scheme: any QuantizationScheme, bytes: Int, threads: Int) throws {
    let single = try ArchitectureRegistry.architecture(for: Self.configuration(layers: 1))
    let perBlock = single.tensors(of: .block(0)).filter { $0.shape.count == 2 }.reduce(0) {
      $0 + PackedMatrix.byteCount(scheme.format, rows: $1.rows, columns: $1.columns)
    }
    let count = max(1, (bytes + perBlock - 1) / perBlock)
    let architecture = try ArchitectureRegistry.architecture(
      for: Self.configuration(layers: count))
    dimensions = architecture.dimensions
    memory = Memory(architecture.dimensions, layers: count, threads: threads)
    let rotary = architecture.makeRotaryTables(positions: Self.context)
    var matrices: [PackedMatrix] = []
    var blocks: [any TransformerBlock] = []
    let pattern = ProbePattern()
    for layer in 0..<count {
      var tensors = LoadedTensors()
      for spec in architecture.tensors(of: .block(layer)) {
        guard spec.shape.count == 2 else {
          let ones = Matrix(rows: 1, columns: spec.columns)
          ones.withMutableRow(0) { row in
            for column in row.indices { row[column] = 1 }
          }
          tensors[spec.name] = .vector(ones)
          continue
        }
        let matrix = PackedMatrix(scheme.format, rows: spec.rows, columns: spec.columns)
        pattern.fill(matrix, scheme)
        matrices.append(matrix)
        tensors[spec.name] = .matrix(matrix)
      }
      blocks.append(try architecture.makeBlock(layer: layer, tensors, rotary: rotary))
    }
    self.matrices = matrices
    self.blocks = blocks
  }

  var byteCount: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  /// Multiply-accumulates of all blocks for one token with so many tokens before it.
  func operations(position: Int) -> Int {
    let attention = 2 * dimensions.headCount * dimensions.headDimension * position
    return matrices.reduce(0) { $0 + $1.rows * $1.columns } + blocks.count * attention
  }

  /// Bytes of the caches that decoding one token at a position reads.
  func cacheBytes(position: Int) -> Int {
    2 * blocks.count * dimensions.keyValueHeadCount * dimensions.headDimension * position
      * CacheFormat.f16.byteCount
  }

  /// Some tokens through all blocks.
  func forward(_ compute: ComputeContext, rows: Int, position: Int) {
    for row in 0..<rows {
      memory.hidden.withMutableRow(row) { values in
        for column in values.indices { values[column] = Float((column + row) % 17) * 0.1 - 0.8 }
      }
    }
    let pass = ForwardPass(
      compute: compute, workspace: memory.workspace, firstPosition: position, rows: rows)
    for (block, cache) in zip(blocks, memory.caches) {
      block.forward(memory.hidden, pass: pass, cache: cache)
    }
  }

  /// All matrices times one vector.
  func multiply(_ compute: ComputeContext, _ vectors: ProbeVectors) {
    for matrix in matrices {
      guard let vector = vectors.byLength[matrix.columns] else { continue }
      compute.quantize(vector.values, rows: 1, into: vector.codes)
      compute.multiply(matrix, vector.values, quantized: vector.codes, rows: 1, into: vectors.sums)
    }
  }
}

/// Inputs and output of products with one vector.
struct ProbeVectors {
  let byLength: [Int: (values: Matrix, codes: QuantizedActivations)]
  let sums: Matrix

  init(_ matrices: [PackedMatrix]) {
    var vectors: [Int: (values: Matrix, codes: QuantizedActivations)] = [:]
    for matrix in matrices where vectors[matrix.columns] == nil {
      let values = Matrix(rows: 1, columns: matrix.columns)
      values.withMutableRow(0) { row in
        for column in row.indices { row[column] = Float(column % 13) * 0.1 - 0.6 }
      }
      vectors[matrix.columns] = (values, QuantizedActivations(rows: 1, columns: matrix.columns))
    }
    byLength = vectors
    sums = Matrix(rows: 1, columns: matrices.map(\.rows).max() ?? 1)
  }
}

/// Bytes that make plausible weights in any scheme.
private struct ProbePattern {
  private static let byteCount = 1 << 20
  private let codes = AlignedBuffer(byteCount: byteCount)
  private let halves = AlignedBuffer(byteCount: byteCount)
  private let floats = AlignedBuffer(byteCount: byteCount)

  init() {
    codes.withMutableElements(of: UInt64.self) { words in
      var state: UInt64 = 1
      for index in words.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        words[index] = state ^ state >> 29
      }
    }
    // Values below 2^-6 of either sign.
    halves.withMutableElements(of: UInt16.self) { values in
      for index in values.indices {
        values[index] = UInt16(truncatingIfNeeded: index &* 40_503) & 0x8FFF | 0x1000
      }
    }
    floats.withMutableElements(of: Float.self) { values in
      for index in values.indices { values[index] = 1e-6 }
    }
  }

  /// Fills all planes of a matrix, band by band.
  func fill(_ matrix: PackedMatrix, _ scheme: any QuantizationScheme) {
    let planes = scheme.planes(rows: matrix.rows, columns: matrix.columns)
    for (index, plane) in planes.enumerated() {
      let source =
        switch plane.dataType {
        case .f32: floats
        case .f16, .bf16: halves
        default: codes
        }
      let band = max(1, Self.byteCount / plane.bytesPerRow)
      for first in stride(from: 0, to: matrix.rows, by: band) {
        let rows = first..<min(matrix.rows, first + band)
        source.withBytes { bytes in
          matrix.store(
            plane: index, rows: rows, bytes.extracting(first: rows.count * plane.bytesPerRow))
        }
      }
    }
  }
}
