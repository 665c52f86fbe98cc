import ShardRuntime
import ShardTransport
import TensorCore

/// A model of a few integers whose every output depends on all layers and all tokens before.
///
/// It stands for a real one where the ring itself is tested.
final class TinyModel: StageExecutor {
  static let hiddenSize = 24
  static let vocabularySize = 50
  private let layers: Range<Int>
  /// Running sums of each layer: the "cache".
  private var memory: [[Float]]
  private var next = 0
  /// The memory behind each position, to go back to.
  private var history: [[[Float]]] = []
  let rewinding: RewindRule
  /// How long a pass takes beside its arithmetic.
  private let delay: Duration
  let logitsCapacity = 3
  private let logitStorage = Matrix(rows: 3, columns: vocabularySize)

  init(layers: Range<Int>, delay: Duration = .zero, rewinding: RewindRule = RewindRule(rings: [])) {
    self.rewinding = rewinding
    self.layers = layers
    self.delay = delay
    memory = layers.map { _ in [Float](repeating: 0, count: Self.hiddenSize) }
  }

  func reset() {
    next = 0
    history = []
    for index in memory.indices {
      for column in memory[index].indices { memory[index][column] = 0 }
    }
  }

  func embed(_ ids: [Int32], firstPosition: Int, into hidden: Matrix) {
    for (row, id) in ids.enumerated() {
      hidden.withMutableRow(row) { values in
        for column in values.indices {
          values[column] =
            Float((Int(id) * 31 + column * 17 + (firstPosition + row) * 7) % 101) / 101
        }
      }
    }
  }

  func forward(_ hidden: Matrix, rows: Int, firstPosition: Int) {
    precondition(firstPosition <= next, "positions come in order")
    if firstPosition < next {
      memory = history[firstPosition]
      history.removeSubrange(firstPosition...)
    }
    next = firstPosition + rows
    for row in 0..<rows {
      history.append(memory)
      for (index, layer) in layers.enumerated() {
        hidden.withMutableRow(row) { values in
          for column in values.indices {
            let other = values[(column + 5) % values.count]
            let mixed = values[column] * 0.7 + other * 0.3 + memory[index][column] * 0.01
            values[column] = mixed + Float(layer + 1) / 97
            memory[index][column] = memory[index][column] * 0.9 + mixed
          }
        }
      }
    }
    if delay > .zero { pause(delay) }
  }

  func logits(_ hidden: Matrix, rows: Range<Int>) -> Matrix {
    for (target, source) in rows.enumerated() {
      let row = hidden.row(source)
      logitStorage.withMutableRow(target) { values in
        for column in values.indices {
          values[column] =
            row[column % row.count] * Float(column % 7 + 1) - row[(column * 3) % row.count]
        }
      }
    }
    return logitStorage
  }

  func logSumExp(_ logits: Matrix, row: Int) -> Double {
    logits.row(row).reduce(0) { $0 + Double($1) * Double($1) }
  }
}

/// The nodes of a tiny model that is cut after given layers.
struct TinyPlan {
  static let layerCount = 6
  let cuts: [Int]
  var bundleID = "bundle-1"
  var prefillChunk = 8
  var delay = Duration.zero
  var sequences = 1

  var names: [String] { (0...cuts.count).map { "node-\($0)" } }

  func description(_ index: Int) -> StageDescription {
    let bounds = [0] + cuts + [Self.layerCount]
    return StageDescription(
      node: names[index], nodeNames: names, bundleID: bundleID,
      layers: bounds[index]..<bounds[index + 1], layerCount: Self.layerCount,
      holdsEmbedding: index == 0, holdsHead: index == cuts.count,
      hiddenSize: TinyModel.hiddenSize, vocabularySize: TinyModel.vocabularySize, context: 64,
      prefillChunk: prefillChunk, hiddenFormat: .f32)
  }

  func stage(_ index: Int, delay: Duration? = nil) -> Stage {
    let description = description(index)
    return Stage(
      description,
      executors: (0..<sequences).map { _ in
        TinyModel(layers: description.layers, delay: delay ?? self.delay)
      })
  }
}

/// Nodes that serve a plan, each on a transport of its own or on a shared one.
final class TinyCluster {
  let plan: TinyPlan
  private(set) var servers: [NodeServer] = []
  private(set) var peers: [(name: String, address: HostPort)] = []
  private var transports: [any Transport] = []

  init(_ plan: TinyPlan, transport: (Int) -> (any Transport)? = { _ in nil }) throws {
    self.plan = plan
    for index in plan.names.indices.dropFirst() {
      let server = NodeServer(
        stage: plan.stage(index), listen: try HostPort("127.0.0.1:0"), transport: transport(index))
      servers.append(server)
      peers.append((plan.names[index], try server.start()))
    }
  }

  func pipeline(
    prefillChunk: Int? = nil, transport: (any Transport)? = nil
  ) throws -> InferencePipeline {
    try InferencePipeline(
      stage: plan.stage(0), peers: peers, options: .init(prefillChunk: prefillChunk),
      transport: transport)
  }

  deinit { for server in servers { server.shutdown() } }
}
