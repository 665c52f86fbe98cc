import ModelArchitectures
import TensorCore
import TensorKernels

/// A model that runs layer by layer over many pieces of text: the weights of one component are in
/// memory at a time, and the hidden states of all pieces.
struct LayerwiseModel {
  let architecture: any ModelArchitecture
  let source: any WeightSource
  let compute: ComputeContext
  private let workspace: Workspace
  private let rotary: [RotaryTable]
  private let context: Int

  init(
    _ architecture: any ModelArchitecture, source: any WeightSource, compute: ComputeContext,
    context: Int
  ) {
    self.architecture = architecture
    self.source = source
    self.compute = compute
    self.context = context
    workspace = Workspace(
      architecture.dimensions, rows: context, context: context, threads: compute.pool.threads)
    rotary = architecture.makeRotaryTables(positions: context)
  }

  /// How hidden states stand between layers where `shardrun` runs these weights.
  private var hiddenFormat: HiddenFormat { source.isQuantized ? .half : .f32 }

  private func load(_ component: Component) throws -> LoadedTensors {
    try source.load(architecture.tensors(of: component), pool: compute.pool)
  }

  private func pass(_ rows: Int, _ observer: (any LinearObserver)? = nil) -> ForwardPass {
    var pass = ForwardPass(
      compute: compute, workspace: workspace, firstPosition: 0, rows: rows)
    pass.observer = observer
    return pass
  }

  /// The input of the first layer, one matrix for each piece.
  ///
  /// - Parameter tensors: weights that are in memory already; nil for the source's.
  func embed(
    _ pieces: ArraySlice<TokenPieces.Piece>, tensors: LoadedTensors? = nil
  ) throws -> [Matrix] {
    let embedding = try architecture.makeEmbedding(tensors ?? load(.embedding))
    return pieces.map { piece in
      let hidden = Matrix(
        rows: piece.inputs.count, columns: architecture.dimensions.hiddenSize)
      embedding.embed(
        piece.inputs, firstPosition: 0, pass: pass(piece.inputs.count), into: hidden)
      compute.round(hidden, to: hiddenFormat, rows: piece.inputs.count)
      return hidden
    }
  }

  /// One block of some weights, ready to run.
  struct Block {
    let tensors: LoadedTensors
    let block: any TransformerBlock
    let cache: KeyValueCache
  }

  /// - Parameter tensors: weights that are in memory already; nil for the source's.
  func block(_ layer: Int, tensors: LoadedTensors? = nil) throws -> Block {
    let tensors = try tensors ?? load(.block(layer))
    let shape = architecture.keyValueShape(layer: layer)
    return Block(
      tensors: tensors,
      block: try architecture.makeBlock(layer: layer, tensors, rotary: rotary),
      cache: KeyValueCache(
        keyValueHeads: shape.heads, headDimension: shape.headDimension, capacity: context,
        format: source.isQuantized ? .f16 : .f32))
  }

  /// Runs a block over all pieces; `hidden` changes in place.
  ///
  /// - Parameter observer: sees what goes into each product with weights.
  func run(_ block: Block, _ hidden: [Matrix], observer: (any LinearObserver)? = nil) {
    for matrix in hidden {
      block.block.forward(
        matrix, pass: pass(matrix.rowCapacity, observer), cache: block.cache)
      compute.round(matrix, to: hiddenFormat, rows: matrix.rowCapacity)
    }
  }

  /// The final norm and the head, ready to run.
  func head() throws -> any HeadStage { try architecture.makeHead(load(.head)) }

  /// Logits of some rows of a hidden state.
  ///
  /// - Parameter scratch: a matrix with the hidden size and room for these rows.
  func logits(
    _ head: any HeadStage, _ hidden: Matrix, rows: Range<Int>, scratch: Matrix,
    into logits: Matrix, observer: (any LinearObserver)? = nil
  ) {
    for (target, row) in rows.enumerated() {
      hidden.withRow(row) { from in
        scratch.withMutableRow(target) { to in
          for column in 0..<from.count { to[column] = from[column] }
        }
      }
    }
    head.logits(scratch, pass: pass(rows.count, observer), into: logits)
  }
}
