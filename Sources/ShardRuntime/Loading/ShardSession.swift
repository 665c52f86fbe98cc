import ModelArchitectures
import TensorCore
import TensorKernels

/// One sequence's state on one node: caches and working memory, all allocated at the start.
///
/// Used by one thread at a time.
public final class ShardSession: StageExecutor, Sendable {
  public let shard: LoadedShard
  /// Tokens that one pass may have.
  public let prefillChunk: Int
  /// Positions a sequence may have.
  public let context: Int
  private let caches: [KeyValueCache]
  private let workspace: Workspace
  private let logitRows: Int
  private let logitStorage: Matrix?
  private let headInput: Matrix?
  public let rewinding: RewindRule

  init(_ shard: LoadedShard) {
    let plan = shard.plan.settings
    self.shard = shard
    prefillChunk = plan.prefillChunk
    context = plan.context
    let memory = shard.memory
    caches = shard.layers.map { layer in
      let shape = memory.architecture.keyValueShape(layer: layer)
      return KeyValueCache(
        keyValueHeads: shape.heads, headDimension: shape.headDimension,
        capacity: memory.cacheCapacity(
          layer: layer, context: plan.context, prefillChunk: plan.prefillChunk),
        format: memory.cacheFormat)
    }
    // Of all layers, also those of other nodes: the whole ring goes back or none of it.
    rewinding = RewindRule(
      rings: (0..<shard.dimensions.layerCount).compactMap { layer in
        memory.architecture.keyValueShape(layer: layer).window.map { window in
          RewindRule.Ring(
            window: window,
            capacity: memory.cacheCapacity(
              layer: layer, context: plan.context, prefillChunk: plan.prefillChunk))
        }
      })
    workspace = Workspace(
      shard.dimensions, rows: plan.prefillChunk, context: plan.context,
      threads: shard.compute.pool.threads)
    logitRows = MemoryModel.logitRows(prefillChunk: plan.prefillChunk)
    let holdsHead = shard.holdsHead
    logitStorage = holdsHead ? Matrix(rows: logitRows, columns: shard.vocabularySize) : nil
    headInput = holdsHead ? Matrix(rows: logitRows, columns: shard.hiddenSize) : nil
  }

  /// Ids to the input of the first layer.
  ///
  /// Shapes: `ids` [T ≤ prefillChunk] → `hidden` [T, hidden size].
  /// Precondition: the node holds the embedding; ids are within the vocabulary.
  public func embed(_ ids: [Int32], firstPosition: Int, into hidden: Matrix) {
    guard let embedding = shard.embedding else {
      preconditionFailure("node \(shard.node) holds no embedding")
    }
    embedding.embed(
      ids, firstPosition: firstPosition, pass: pass(ids.count, at: firstPosition), into: hidden)
    shard.compute.round(hidden, to: shard.hiddenFormat, rows: ids.count)
  }

  /// Runs this node's blocks over `rows` tokens that follow on what the caches hold.
  ///
  /// Shapes: `hidden` [rows ≤ prefillChunk, hidden size], changed in place.
  public func forward(_ hidden: Matrix, rows: Int, firstPosition: Int) {
    let pass = pass(rows, at: firstPosition)
    for (block, cache) in zip(shard.blocks, caches) {
      block.forward(hidden, pass: pass, cache: cache)
      shard.compute.round(hidden, to: shard.hiddenFormat, rows: rows)
    }
  }

  /// Logits of some rows of the last layer's output.
  ///
  /// Shapes: `hidden` [T, hidden size] → [rows.count, vocabulary], valid until the next call.
  /// Precondition: the node holds the head; at most `logitsCapacity` rows.
  public func logits(_ hidden: Matrix, rows: Range<Int>) -> Matrix {
    guard let head = shard.head, let logitStorage, let headInput else {
      preconditionFailure("node \(shard.node) holds no head")
    }
    precondition(rows.count <= logitRows, "\(rows.count) rows of logits at once")
    for (target, source) in rows.enumerated() {
      hidden.withRow(source) { from in
        headInput.withMutableRow(target) { to in
          for column in 0..<from.count { to[column] = from[column] }
        }
      }
    }
    head.logits(headInput, pass: pass(rows.count, at: 0), into: logitStorage)
    return logitStorage
  }

  public var logitsCapacity: Int { logitRows }

  public func logSumExp(_ logits: Matrix, row: Int) -> Double {
    shard.compute.logSumExp(logits, row: row)
  }

  /// Caches need no clearing: a position is written before any token attends to it.
  public func reset() {}

  private func pass(_ rows: Int, at firstPosition: Int) -> ForwardPass {
    ForwardPass(
      compute: shard.compute, workspace: workspace, firstPosition: firstPosition, rows: rows)
  }
}
