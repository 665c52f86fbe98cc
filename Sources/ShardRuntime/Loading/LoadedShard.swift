import ModelArchitectures
import Quantization
import ShardPackaging
import ShardPlanning
import TensorCore
import TensorKernels

/// A node's part of a model, laid out in memory and ready to execute.
///
/// It takes nothing but a `VerifiedPackage`, and every byte it lays out comes from a chunk whose
/// digest was checked, so unverified bytes cannot be executed.
public final class LoadedShard: Sendable {
  public let plan: ShardPlan
  /// This node's name in the plan.
  public let node: String
  /// Digest that identifies the bundle; nodes with another one do not work together.
  public let bundleID: String
  public let layers: Range<Int>
  public let holdsEmbedding: Bool
  public let holdsHead: Bool
  public let dimensions: ModelDimensions
  public let compute: ComputeContext
  public let memory: MemoryModel
  /// How hidden states stand between layers, on this node and on its way to others.
  public let hiddenFormat: HiddenFormat
  /// What this node takes in memory with this process's threads.
  public let ledger: MemoryLedger
  /// Stored bytes of weights that decoding one token reads on this node.
  public let bytesReadPerToken: Int

  let embedding: (any EmbeddingStage)?
  let blocks: [any TransformerBlock]
  let head: (any HeadStage)?

  public var hiddenSize: Int { dimensions.hiddenSize }
  public var vocabularySize: Int { dimensions.vocabularySize }

  /// Reads, verifies and lays out the node's components.
  ///
  /// - Parameter allowance: the memory that this process may take; nil for any.
  /// Throws: `RuntimeFault`, before anything is loaded, where the node takes more memory than
  /// that, `PackageFault` for the first chunk whose digest is wrong, `ArchitectureFault` for a
  /// bundle that does not hold what the architecture needs.
  public init(
    package: VerifiedPackage, compute: ComputeContext, progress: ProgressHandler? = nil,
    allowance: MemoryAllowance? = .current()
  ) throws {
    let architecture = try ArchitectureRegistry.architecture(for: package.configuration)
    let planned = try package.plan.node(named: package.node)
    plan = package.plan
    node = package.node
    bundleID = package.bundleID
    layers = planned.layers
    holdsEmbedding = planned.holdsEmbedding
    holdsHead = planned.holdsHead
    dimensions = architecture.dimensions
    self.compute = compute
    memory = try MemoryModel(architecture: architecture, tensors: package.tensors)
    hiddenFormat = memory.hiddenFormat
    ledger = MemoryLedger(
      package: package, node: planned, memory: memory, threads: compute.pool.threads)
    try ledger.require(allowance, node: node)

    let components = planned.components
    bytesReadPerToken = components.reduce(0) { [memory] in
      $0 + memory.bytesReadPerToken(in: $1)
    }
    let tensors = try Self.load(components, from: package, memory: memory, compute, progress)
    let rotary = architecture.makeRotaryTables(positions: package.plan.settings.context)
    embedding = holdsEmbedding ? try architecture.makeEmbedding(tensors) : nil
    blocks = try layers.map {
      try architecture.makeBlock(layer: $0, tensors, rotary: rotary)
    }
    head = holdsHead ? try architecture.makeHead(tensors) : nil
  }

  private static func load(
    _ components: [Component], from package: VerifiedPackage, memory: MemoryModel,
    _ compute: ComputeContext, _ progress: ProgressHandler?
  ) throws -> LoadedTensors {
    var places: [String: TensorPlace] = [:]
    let stored = memory.storedTensors(of: components)
    let arena = MemoryArena(byteCount: TensorPlace.arenaByteCount(stored))
    for tensor in stored { places[tensor.name] = TensorPlace(tensor, in: arena) }
    try package.readComponents(components, pool: compute.pool, progress: progress) {
      [places] tensor, plane, offset, bytes in
      places[tensor.name]?.store(bytes, plane: plane, at: offset)
    }
    var loaded = LoadedTensors()
    for (name, place) in places { loaded[name] = try place.content() }
    return loaded
  }

  /// A session for one sequence, with everything it will ever need allocated.
  public func makeSession() -> ShardSession { ShardSession(self) }

  /// This node as a stage of the ring, with a session for each sequence of the plan.
  public func makeStage() -> Stage { makeStage(sequences: plan.settings.sequences) { $0 } }

  /// The same with another number of sequences, and something between stage and session.
  public func makeStage(
    sequences: Int, executor: (ShardSession) -> any StageExecutor
  ) -> Stage {
    Stage(
      StageDescription(
        node: node, nodeNames: plan.nodes.map(\.name), bundleID: bundleID, layers: layers,
        layerCount: dimensions.layerCount, holdsEmbedding: holdsEmbedding, holdsHead: holdsHead,
        hiddenSize: hiddenSize, vocabularySize: vocabularySize, context: plan.settings.context,
        prefillChunk: plan.settings.prefillChunk, hiddenFormat: hiddenFormat),
      executors: (0..<sequences).map { _ in executor(makeSession()) },
      ledgerBytes: ledger.total)
  }
}
