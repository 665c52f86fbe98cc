import Checkpoints
import ModelArchitectures
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// The arrow from a GGUF file to a quantized checkpoint: blocks stay as they are, byte for byte;
/// rows find their place again, configuration and tokenizer become Hugging Face's.
public struct GGUFImport: Sendable {
  private let writing: ImportWriting
  public let architecture: any ModelArchitecture
  /// Sentences about what is odd, but no obstacle.
  public let warnings: [String]

  /// Resolves every tensor before any work begins.
  ///
  /// Throws: `CheckpointFault`, `PreparationFault`, `ArchitectureFault` or `TokenizationFault`
  /// naming the file and the key or tensor that stands in the way.
  public init(path: String) throws {
    let file = try GGUFFile(path: path)
    let configuration = try GGUFConfiguration(file)
    architecture = try ArchitectureRegistry.architecture(for: configuration.object)
    var seen: Set<String> = []
    var used = configuration.usedTensors
    var parts: [ImportWriting.Part] = []
    let components = architecture.components
    for (index, component) in components.enumerated() {
      var jobs: [GGUFTensorJob] = []
      for spec in architecture.tensors(of: component) where seen.insert(spec.name).inserted {
        let job = try GGUFTensorJob(
          spec, in: file, configuration.family, architecture.dimensions)
        used.insert(job.tensor.name)
        jobs.append(job)
      }
      guard !jobs.isEmpty else { continue }
      parts.append(
        ImportWriting.Part(name: QuantizePlan.fileName(index, of: components.count), jobs: jobs))
    }
    try Self.refuseUnused(file, used)
    var warnings: [String] = []
    var files: [(name: String, bytes: [UInt8])] = []
    if let vocabulary = try GGUFVocabulary(file) {
      files = try GGUFTokenizerFiles(vocabulary).files()
    } else {
      warnings.append(
        "\(path) has no tokenizer: give token ids, or put its files beside the result")
    }
    self.warnings = warnings
    writing = ImportWriting(
      format: "gguf", configuration: configuration.object, parts: parts, tokenizerFiles: files,
      vocabularySize: architecture.dimensions.vocabularySize,
      sources: SourceDigests(weights: file.parts))
  }

  /// Throws: `PreparationFault` for a tensor that no part of the model is made of.
  private static func refuseUnused(_ file: GGUFFile, _ used: Set<String>) throws {
    for tensor in file.tensors where !used.contains(tensor.name) {
      throw PreparationFault(
        "extraTensor",
        "\(file.path(of: tensor)) holds the tensor \(Excerpt.quoted(tensor.name)), which the model "
          + "that its keys describe does not use; a model that is not wholly understood would run "
          + "wrong", context: ["file": file.path, "tensor": tensor.name])
    }
  }

  /// Writes the quantized checkpoint; it appears in `directory` whole or not at all.
  ///
  /// Throws: `PreparationFault` for weights that are no numbers and where the directory holds
  /// anything else, `FileFault` where reading or writing fails.
  public func run(
    to directory: String, pool: WorkerPool, progress: ProgressHandler? = nil
  ) throws -> ImportSummary {
    try writing.run(to: directory, pool: pool, progress: progress)
  }
}
