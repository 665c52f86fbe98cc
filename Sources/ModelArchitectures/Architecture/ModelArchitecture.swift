import StrictJSON
import TensorCore
import TensorKernels

/// The numbers of a model that everything above needs.
public struct ModelDimensions: Sendable, Equatable {
  /// Rows of the embedding.
  public var vocabularySize: Int
  /// Width of the residual stream.
  public var hiddenSize: Int
  /// Transformer blocks.
  public var layerCount: Int
  /// Query heads.
  public var headCount: Int
  /// Key and value heads (fewer than query heads: grouped-query attention).
  public var keyValueHeadCount: Int
  /// Channels of one head.
  public var headDimension: Int
  /// Width of the feed-forward network.
  public var intermediateSize: Int
  /// Positions the model was made for.
  public var contextLength: Int
  /// Whether the head multiplies with the token embedding.
  public var tiesEmbeddings: Bool
  /// Experts of a mixture; 0 for dense models.
  public var expertCount = 0
  /// Experts that run for one token.
  public var expertsPerToken = 0

  /// 1/√(head dimension), the usual scale of attention scores.
  var attentionScale: Float { Float(1 / Double(headDimension).squareRoot()) }
}

/// What one layer keeps for each position, and for how many of them.
public struct KeyValueShape: Sendable, Equatable {
  public let heads: Int
  public let headDimension: Int
  /// Keys a token attends to, its own among them; nil for all.
  public let window: Int?

  public init(heads: Int, headDimension: Int, window: Int?) {
    self.heads = heads
    self.headDimension = headDimension
    self.window = window
  }
}

/// A model family: configuration, tensors and forward pass.
///
/// One file in `Models/` conforms, and one line in `ArchitectureRegistry` names it.
public protocol ModelArchitecture: Sendable {
  /// Name of the family, for people.
  static var family: String { get }
  /// Values of config.json's `model_type` that mean this family.
  static var modelTypes: [String] { get }
  /// Peculiarities that tests cover, for the support table.
  static var quirks: [String] { get }

  /// Reads config.json; refuses what the forward pass would not honour.
  init(configuration: ConfigurationReader) throws(ArchitectureFault)

  var dimensions: ModelDimensions { get }

  /// Tensors of a component. Where embeddings are tied, the head lists the token embedding
  /// under the embedding's name.
  func tensors(of component: Component) -> [TensorSpec]

  func keyValueShape(layer: Int) -> KeyValueShape

  /// Share of a tensor that decoding one token reads: less than 1 for experts of a mixture.
  func shareRead(of tensor: String) -> Double

  /// Rotary positions that blocks share on a node; none where positions are learned.
  var rotaryEmbeddings: [RotaryEmbedding] { get }

  func makeEmbedding(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any EmbeddingStage
  func makeBlock(
    layer: Int, _ tensors: LoadedTensors, rotary: [RotaryTable]
  ) throws(ArchitectureFault) -> any TransformerBlock
  func makeHead(_ tensors: LoadedTensors) throws(ArchitectureFault) -> any HeadStage
}

/// Token ids to the first layer's input.
public protocol EmbeddingStage: Sendable {
  /// Shapes: `ids` [T] → `hidden` [T, hidden size]. The ids are within the vocabulary.
  func embed(_ ids: [Int32], firstPosition: Int, pass: ForwardPass, into hidden: Matrix)
}

/// One transformer block.
public protocol TransformerBlock: Sendable {
  /// Shapes: `hidden` [T, hidden size], changed in place; T = `pass.rows`.
  func forward(_ hidden: Matrix, pass: ForwardPass, cache: KeyValueCache)
}

/// The last layer's output to logits.
public protocol HeadStage: Sendable {
  /// Shapes: `hidden` [T, hidden size] → `logits` [T, vocabulary]; T = `pass.rows`.
  /// `hidden` stays as it is.
  func logits(_ hidden: Matrix, pass: ForwardPass, into logits: Matrix)
}

extension ModelArchitecture {
  /// All components in the order of execution.
  public var components: [Component] { Component.all(layerCount: dimensions.layerCount) }
}

extension ModelArchitecture {
  public func shareRead(of tensor: String) -> Double { 1 }

  /// One table for each of `rotaryEmbeddings`, for positions 0..<`positions`.
  public func makeRotaryTables(positions: Int) -> [RotaryTable] {
    rotaryEmbeddings.map { $0.table(positions: positions) }
  }

  /// Bytes of those tables.
  public func rotaryTableBytes(positions: Int) -> Int {
    rotaryEmbeddings.reduce(0) { $0 + $1.tableBytes(positions: positions) }
  }
}
