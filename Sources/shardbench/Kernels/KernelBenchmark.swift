import TensorCore
import TensorKernels

/// A weight matrix's rows and columns, as in `4096x14336`.
struct KernelShape: Hashable, CustomStringConvertible {
  let rows: Int
  let columns: Int

  var description: String { "\(rows)x\(columns)" }
}

/// One product that is measured.
struct KernelCase {
  let format: WeightFormat
  let shape: KernelShape
  let instructionSet: InstructionSet
  let threads: Int
  let tokens: Int
}

/// What one product took, with the read bandwidth between its repetitions.
struct KernelSample {
  let measured: KernelCase
  let weightBytes: Int
  /// Time of one product, one for each repetition.
  var seconds: [Double] = []
  /// Bytes per second, one for each repetition.
  var readBandwidths: [Double] = []

  var weightRate: Double { Double(weightBytes) / Samples.median(seconds) }
  var readBandwidth: Double { Samples.median(readBandwidths) }
  /// The median over the repetitions, each beside the probe next to it: what moves the memory's
  /// speed from one second to the next moves both.
  var shareOfReadBandwidth: Double {
    Samples.median(zip(seconds, readBandwidths).map { Double(weightBytes) / $0 / $1 })
  }
  /// Operations per second, two for each multiplication with its addition.
  var operationRate: Double {
    let shape = measured.shape
    return 2 * Double(shape.rows * shape.columns * measured.tokens) / Samples.median(seconds)
  }
}

/// Measures products with weights that no cache holds, in turn with the read bandwidth.
struct KernelBenchmark {
  let repetitions: Int
  /// Bytes that copies of a matrix take together, and those of the probe.
  let memory: Int
  private let probe: BandwidthProbe

  init(repetitions: Int, memory: Int) {
    self.repetitions = repetitions
    self.memory = memory
    probe = BandwidthProbe(bytes: memory)
  }

  /// Copies of a matrix with random weights that fill the memory.
  func copies(
    _ format: WeightFormat, _ shape: KernelShape, pool: WorkerPool
  ) -> [PackedMatrix] {
    let weights = RandomWeights(format, rows: shape.rows, columns: shape.columns)
    let size = PackedMatrix.byteCount(format, rows: shape.rows, columns: shape.columns)
    let count = memory / size + 1
    return (0..<count).map { _ in weights.packed(with: pool) }
  }

  /// Measures a product by turns with the probe.
  ///
  /// A sample of one token takes all copies, one after the other; of several tokens, where
  /// arithmetic decides, the next copy.
  ///
  /// Throws: `KernelFault` where this machine lacks the instruction set.
  func measure(_ measured: KernelCase, _ copies: [PackedMatrix]) throws -> KernelSample {
    let compute = try ComputeContext(
      threads: measured.threads, instructionSet: measured.instructionSet)
    let shape = measured.shape
    let x = Matrix(rows: measured.tokens, columns: shape.columns)
    var state: UInt64 = 7
    for row in 0..<measured.tokens {
      x.withMutableRow(row) { values in
        for column in values.indices {
          values[column] = Float(SplitMix.next(&state) >> 40) / Float(1 << 23) - 1
        }
      }
    }
    var quantized: QuantizedActivations?
    if measured.format.needsQuantizedActivations {
      let codes = QuantizedActivations(rows: measured.tokens, columns: shape.columns)
      compute.quantize(x, rows: measured.tokens, into: codes)
      quantized = codes
    }
    let y = Matrix(rows: measured.tokens, columns: shape.rows)
    var sample = KernelSample(measured: measured, weightBytes: copies[0].byteCount)
    let perSample = measured.tokens == 1 ? copies.count : 1
    var next = 0
    for repetition in -1..<repetitions {
      let elapsed = ContinuousClock().measure {
        for _ in 0..<perSample {
          compute.multiply(
            copies[next], x, quantized: quantized, rows: measured.tokens, into: y)
          next = (next + 1) % copies.count
        }
      }
      let bandwidth = probe.measure(compute.pool)
      // The first turn warms up.
      guard repetition >= 0 else { continue }
      sample.seconds.append(elapsed.seconds / Double(perSample))
      sample.readBandwidths.append(bandwidth)
    }
    return sample
  }
}
