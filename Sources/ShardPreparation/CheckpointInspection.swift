import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore
import TensorKernels

/// A checkpoint looked at as `quantize` looks at it: every tensor found and compared with the
/// configuration, and, on request, every weight read.
public struct CheckpointInspection: Sendable {
  public let checkpoint: Checkpoint
  public let architecture: any ModelArchitecture
  /// Sentences about what is odd, but no obstacle.
  public let warnings: [String]
  private let sources: [QuantizeSource]

  /// Throws: `PreparationFault` or `ArchitectureFault` naming the tensor or the configuration's
  /// member that makes the checkpoint unusable.
  public init(_ checkpoint: Checkpoint) throws {
    self.checkpoint = checkpoint
    let plan = try QuantizePlan(checkpoint, recipe: .bits16)
    architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    warnings = plan.warnings
    sources = plan.files.flatMap(\.jobs).map(\.source)
  }

  /// Weights that the model executes with; a tied head counts once.
  public var parameterCount: Int {
    sources.reduce(0) { $0 + $1.spec.rows * $1.spec.columns }
  }

  /// Bytes of those weights as they are stored.
  public var byteCount: Int { sources.reduce(0) { $0 + $1.byteCount } }

  /// Bytes by stored type.
  public var byteCounts: [(dataType: DataType, bytes: Int)] {
    DataType.allCases.compactMap { type in
      let bytes = sources.filter { $0.entry.dataType == type }.reduce(0) { $0 + $1.byteCount }
      return bytes > 0 ? (type, bytes) : nil
    }
  }

  /// Reads every weight.
  ///
  /// Throws: `CheckpointFault` for the first NaN or infinity, naming tensor and element.
  public func checkWeights(pool: WorkerPool, progress: ProgressHandler? = nil) throws {
    var done = 0
    for source in sources {
      let spec = source.spec
      let band = max(1, (1 << 18) / spec.columns)
      let bands = (spec.rows + band - 1) / band
      try pool.runThrowing(chunks: bands) { index in
        _ = try source.floats(rows: index * band..<min(spec.rows, (index + 1) * band))
      }
      done += source.byteCount
      progress?(
        ProgressUpdate(phase: "check weights", completedBytes: done, totalBytes: byteCount))
    }
  }
}
