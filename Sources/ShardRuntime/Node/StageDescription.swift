import TensorCore
import TensorKernels

/// The computations of one node on one sequence; `ShardSession` does them with a real model.
///
/// A stage calls it from one thread at a time.
public protocol StageExecutor: AnyObject {
  /// Forgets the sequence.
  func reset()
  /// Where it can go on after it has gone further. Stored positions from there on count as
  /// forgotten; each is written anew before a token attends to it.
  var rewinding: RewindRule { get }
  /// Writes one row of `hidden` for each id, the first of which stands at `firstPosition`. Only
  /// called where the embedding is.
  func embed(_ ids: [Int32], firstPosition: Int, into hidden: Matrix)
  /// Runs this node's layers on the first `rows` rows, in place.
  func forward(_ hidden: Matrix, rows: Int, firstPosition: Int)
  /// Final norm and head of some rows; row 0 of the result belongs to the first of `rows`.
  ///
  /// The result is valid until the next call. Only called where the head is, with at most
  /// `logitsCapacity` rows.
  func logits(_ hidden: Matrix, rows: Range<Int>) -> Matrix
  /// Rows that one call of `logits` can take.
  var logitsCapacity: Int { get }
  /// ln Σ exp over one row of logits.
  func logSumExp(_ logits: Matrix, row: Int) -> Double
}

extension StageExecutor {
  public var rewinding: RewindRule { .never }
}

/// What a node is within its model, as the handshake compares it.
public struct StageDescription: Sendable, Equatable {
  public var node: String
  /// All nodes of the plan, in ring order.
  public var nodeNames: [String]
  public var bundleID: String
  public var layers: Range<Int>
  /// Layers of the whole model.
  public var layerCount: Int
  public var holdsEmbedding: Bool
  public var holdsHead: Bool
  public var hiddenSize: Int
  public var vocabularySize: Int
  /// Positions that the key-value caches hold.
  public var context: Int
  /// Most rows of one pass.
  public var prefillChunk: Int
  /// What travels between nodes.
  public var hiddenFormat: HiddenFormat

  public init(
    node: String, nodeNames: [String], bundleID: String, layers: Range<Int>, layerCount: Int,
    holdsEmbedding: Bool, holdsHead: Bool, hiddenSize: Int, vocabularySize: Int, context: Int,
    prefillChunk: Int, hiddenFormat: HiddenFormat
  ) {
    self.node = node
    self.nodeNames = nodeNames
    self.bundleID = bundleID
    self.layers = layers
    self.layerCount = layerCount
    self.holdsEmbedding = holdsEmbedding
    self.holdsHead = holdsHead
    self.hiddenSize = hiddenSize
    self.vocabularySize = vocabularySize
    self.context = context
    self.prefillChunk = prefillChunk
    self.hiddenFormat = hiddenFormat
  }
}
