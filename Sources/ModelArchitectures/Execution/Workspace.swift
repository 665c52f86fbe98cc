import TensorCore
import TensorKernels

/// Memory for the intermediate values of one forward pass, allocated once for a session.
///
/// Widths are the largest that any component of the model needs, so a workspace serves every
/// block, the embedding and the head.
public final class Workspace: Sendable {
  /// Rows a pass may have.
  public let rowCapacity: Int
  let normed: Matrix
  let secondary: Matrix
  let projected: Matrix
  let queries: Matrix
  let keys: Matrix
  let values: Matrix
  let attended: Matrix
  let gate: Matrix
  let up: Matrix
  let hiddenCodes: QuantizedActivations
  let attendedCodes: QuantizedActivations
  let intermediateCodes: QuantizedActivations
  let attention: AttentionScratch
  /// Output of one expert; nil for dense models.
  let expertOutput: Matrix?
  /// Scores of the experts; nil for dense models.
  let routerScores: Matrix?

  public init(_ dimensions: ModelDimensions, rows: Int, context: Int, threads: Int) {
    let widths = Widths(dimensions)
    rowCapacity = rows
    normed = Matrix(rows: rows, columns: widths.hidden)
    secondary = Matrix(rows: rows, columns: widths.hidden)
    projected = Matrix(rows: rows, columns: widths.hidden)
    queries = Matrix(rows: rows, columns: widths.queries)
    keys = Matrix(rows: rows, columns: widths.keys)
    values = Matrix(rows: rows, columns: widths.keys)
    attended = Matrix(rows: rows, columns: widths.queries)
    gate = Matrix(rows: rows, columns: widths.intermediate)
    up = Matrix(rows: rows, columns: widths.intermediate)
    hiddenCodes = QuantizedActivations(rows: rows, columns: widths.hidden)
    attendedCodes = QuantizedActivations(rows: rows, columns: widths.queries)
    intermediateCodes = QuantizedActivations(rows: rows, columns: widths.intermediate)
    attention = AttentionScratch(threads: threads, context: context)
    let isMixture = dimensions.expertCount > 0
    expertOutput = isMixture ? Matrix(rows: rows, columns: widths.hidden) : nil
    routerScores = isMixture ? Matrix(rows: rows, columns: dimensions.expertCount) : nil
  }

  /// Bytes that a workspace takes; the memory ledger counts with it.
  public static func byteCount(
    _ dimensions: ModelDimensions, rows: Int, context: Int, threads: Int
  ) -> Int {
    let widths = Widths(dimensions)
    func matrix(_ columns: Int) -> Int { Matrix.byteCount(rows: rows, columns: columns) }
    func codes(_ columns: Int) -> Int {
      QuantizedActivations.byteCount(rows: rows, columns: columns)
    }
    let experts =
      dimensions.expertCount > 0
      ? matrix(widths.hidden) + matrix(dimensions.expertCount) : 0
    return experts + 3 * matrix(widths.hidden) + 2 * matrix(widths.queries) + 2
      * matrix(widths.keys)
      + 2 * matrix(widths.intermediate) + codes(widths.hidden) + codes(widths.queries)
      + codes(widths.intermediate)
      + AttentionScratch.byteCount(threads: threads, context: context)
  }

  private struct Widths {
    let hidden: Int
    let queries: Int
    let keys: Int
    let intermediate: Int

    init(_ dimensions: ModelDimensions) {
      hidden = dimensions.hiddenSize
      queries = dimensions.headCount * dimensions.headDimension
      keys = dimensions.keyValueHeadCount * dimensions.headDimension
      intermediate = dimensions.intermediateSize
    }
  }
}

/// What every stage of one forward pass shares.
public struct ForwardPass: Sendable {
  public let compute: ComputeContext
  public let workspace: Workspace
  /// Position of the first row in its sequence.
  public let firstPosition: Int
  /// Who sees what goes into products with weights; nobody where the model only runs.
  public var observer: (any LinearObserver)?
  /// Tokens in this pass, at most the workspace's capacity.
  public private(set) var rows: Int

  /// The same pass over fewer tokens.
  func with(rows: Int) -> ForwardPass {
    var pass = self
    pass.rows = rows
    return pass
  }

  public init(compute: ComputeContext, workspace: Workspace, firstPosition: Int, rows: Int) {
    precondition(
      rows <= workspace.rowCapacity, "\(rows) rows in a workspace for \(workspace.rowCapacity)")
    self.compute = compute
    self.workspace = workspace
    self.firstPosition = firstPosition
    self.rows = rows
  }
}
