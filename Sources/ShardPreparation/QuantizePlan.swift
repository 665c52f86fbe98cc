import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore

/// What is to be written: every tensor of every component with its source and scheme, resolved
/// and checked before any work begins.
struct QuantizePlan: Sendable {
  /// One tensor on its way.
  struct Job: Sendable {
    let source: QuantizeSource
    let stored: StoredTensor
  }

  /// One file of the output.
  struct File: Sendable {
    let component: Component
    let name: String
    let jobs: [Job]

    var sourceByteCount: Int { jobs.reduce(0) { $0 + $1.source.byteCount } }
  }

  let files: [File]
  /// The ids that the model knows.
  let vocabularySize: Int
  /// Sentences about what is odd, but no obstacle.
  let warnings: [String]

  var sourceByteCount: Int { files.reduce(0) { $0 + $1.sourceByteCount } }
  var storedTensors: [StoredTensor] { files.flatMap { $0.jobs.map(\.stored) } }

  /// Throws: `PreparationFault` for a missing or misshapen tensor, `QuantizationFault` for a
  /// recipe that does not fit, `ArchitectureFault` for a configuration that is not supported.
  ///
  /// - Parameter schemes: names of schemes for single tensors, before what the recipe says.
  init(_ checkpoint: Checkpoint, recipe: Recipe, schemes: [String: String] = [:]) throws {
    guard !QuantizationRecord.isPresent(in: checkpoint.configuration) else {
      throw PreparationFault(
        "alreadyQuantized",
        "\(checkpoint.directory) is quantized already; give the original checkpoint",
        context: ["file": checkpoint.directory])
    }
    let architecture = try ArchitectureRegistry.architecture(for: checkpoint.configuration)
    if let advice = ForeignQuantization.advice(tensorNames: checkpoint.tensorNames) {
      throw PreparationFault(
        "foreignQuantization", "\(checkpoint.directory) holds tensors that show that \(advice)",
        context: ["file": checkpoint.directory])
    }
    let components = architecture.components
    var seen: Set<String> = []
    var usedSources: Set<String> = []
    var files: [File] = []
    for (index, component) in components.enumerated() {
      var jobs: [Job] = []
      // A tied embedding is stored once, with the component that comes first.
      for spec in architecture.tensors(of: component) where seen.insert(spec.name).inserted {
        let source = try QuantizeSource(spec, in: checkpoint)
        usedSources.insert(source.entry.name)
        let scheme =
          try schemes[spec.name].map(Schemes.named)
          ?? recipe.scheme(
            for: spec.role, shape: spec.shape, isTied: architecture.dimensions.tiesEmbeddings,
            stored: source.entry.dataType)
        jobs.append(
          Job(
            source: source,
            stored: StoredTensor(name: spec.name, scheme: scheme, shape: spec.shape)))
      }
      guard !jobs.isEmpty else { continue }
      files.append(
        File(
          component: component, name: Self.fileName(index, of: components.count), jobs: jobs))
    }
    self.files = files
    vocabularySize = architecture.dimensions.vocabularySize
    try Self.refuseContradictions(checkpoint, files, used: usedSources)
    warnings = Self.warnings(checkpoint, used: usedSources)
  }

  static func fileName(_ index: Int, of count: Int) -> String {
    func digits(_ number: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
    return "model-\(digits(index + 1))-of-\(digits(count)).safetensors"
  }

  /// Endings of buffers that are stored beside the parameters and can be computed again.
  private static let bufferSuffixes = [
    "rotary_emb.inv_freq", "rope.freqs", "attn.bias", "attn.masked_bias", "attention.bias",
    "attention.masked_bias",
  ]

  private static func warnings(_ checkpoint: Checkpoint, used: Set<String>) -> [String] {
    let extra = (checkpoint.tensorNames + checkpoint.unlistedTensorNames).filter { name in
      !used.contains(name) && !bufferSuffixes.contains { name.hasSuffix($0) }
    }
    guard !extra.isEmpty else { return [] }
    let shown = extra.prefix(4).joined(separator: ", ")
    let rest = extra.count > 4 ? " and \(extra.count - 4) more" : ""
    let subject = extra.count == 1 ? "a tensor" : "\(extra.count) tensors"
    return ["\(checkpoint.directory) holds \(subject) the model does not use: \(shown)\(rest)"]
  }
}
