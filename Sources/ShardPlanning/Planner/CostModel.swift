/// Times of any run of layers on any node, and of messages between nodes.
///
/// Decoding is bound by memory: a layer takes the time to read its weights and its part of the
/// cache, and a fixed cost. Reading a prompt is bound by arithmetic. All times are whole
/// nanoseconds held in `Double`, which adds them exactly.
package struct CostModel: Sendable {
  /// Times of one node; the arrays are prefix sums over layers, one longer than the layers.
  struct Node: Sendable {
    var decode: [Double] = [0]
    var prefill: [Double] = [0]
    var pass = 0.0
    var headDecode = 0.0
    /// The head computes the last token of a prompt only.
    var headPrefill = 0.0

    func sum(_ decoding: Bool, _ layers: Range<Int>) -> Double {
      decoding
        ? decode[layers.upperBound] - decode[layers.lowerBound]
        : prefill[layers.upperBound] - prefill[layers.lowerBound]
    }
  }

  let nodes: [Node]
  /// The same for the nodes' graphics cards, `pass` being the hand-over there and back.
  let accelerators: [Node]
  /// `[from][to]`: one token's hidden state; 0 on the diagonal.
  package let hop: [[Double]]
  /// `[from][to]`: one chunk of hidden states.
  package let chunkHop: [[Double]]
  /// `[from]`: a token id back to the coordinator.
  package let back: [Double]
  package let workload: Workload
  /// Passes that the prompt takes.
  package let chunkCount: Int
  /// Tokens of one of them.
  let chunkTokens: Int

  /// Bytes of a frame beside its hidden states.
  static let frameBytes = 64

  package init(footprint: ModelFootprint, cluster: Cluster, workload: Workload) {
    self.workload = workload
    let chunk = footprint.settings.prefillChunk
    chunkCount = (workload.promptTokens + chunk - 1) / chunk
    let chunkTokens = (workload.promptTokens + chunkCount - 1) / chunkCount
    self.chunkTokens = chunkTokens
    nodes = cluster.nodes.map { profile in
      Self.node(profile.compute, footprint, workload, chunkTokens: chunkTokens)
    }
    accelerators = cluster.nodes.map { profile in
      Self.node(profile.accelerator, footprint, workload, chunkTokens: chunkTokens)
    }
    let stateBytes = footprint.hiddenStateBytes
    func times(_ bytes: Int) -> [[Double]] {
      cluster.nodes.indices.map { source in
        cluster.nodes.indices.map { target in
          guard source != target else { return 0 }
          return Double(cluster.link(from: source, to: target).nanoseconds(bytes: bytes))
        }
      }
    }
    hop = times(stateBytes + Self.frameBytes)
    chunkHop = times(stateBytes * chunkTokens + Self.frameBytes)
    back = times(Self.frameBytes).map { $0[0] }
  }

  private static func node(
    _ compute: ComputeProfile, _ footprint: ModelFootprint, _ workload: Workload, chunkTokens: Int
  ) -> Node {
    var node = Node()
    node.pass = Double(compute.passNanoseconds)
    for layer in footprint.layers {
      let fixed = Double(compute.layerNanoseconds)
      let read = decode(layer, compute, position: workload.meanPosition)
      let attended = layer.attendedPositions(workload.promptTokens / 2)
      let operations = layer.operations + layer.operationsPerPosition * attended
      let computed = Double(
        Nanoseconds.of(operations * chunkTokens, perSecond: compute.operationsPerSecond))
      node.decode.append(node.decode[node.decode.count - 1] + read + fixed)
      node.prefill.append(node.prefill[node.prefill.count - 1] + max(read, computed) + fixed)
    }
    node.headDecode = decode(footprint.head, compute, position: 0)
    node.headPrefill = node.headDecode
    return node
  }

  /// Time to read what one token reads.
  private static func decode(
    _ component: ComponentFootprint, _ compute: ComputeProfile, position: Int
  ) -> Double {
    var time = Nanoseconds.of(
      component.keyValueReadBytes(position: position), perSecond: compute.weightBytesPerSecond)
    for (scheme, bytes) in component.readBytes {
      let rate = compute.weightBytesPerSecondByScheme[scheme] ?? compute.weightBytesPerSecond
      time += Nanoseconds.of(bytes, perSecond: rate)
    }
    return Double(time)
  }

  /// One token through a stage's layers and head.
  package func decode(_ stage: Stage) -> Double {
    time(stage, decoding: true) + (stage.holdsHead ? nodes[stage.node].headDecode : 0)
  }

  /// One chunk of the prompt through a stage's layers.
  package func prefill(_ stage: Stage) -> Double { time(stage, decoding: false) }

  private func time(_ stage: Stage, decoding: Bool) -> Double {
    let cut = stage.layers.lowerBound + stage.accelerated
    var time =
      nodes[stage.node].pass + nodes[stage.node].sum(decoding, cut..<stage.layers.upperBound)
    if stage.accelerated > 0 {
      let card = accelerators[stage.node]
      time += card.pass + card.sum(decoding, stage.layers.lowerBound..<cut)
    }
    return time
  }

  /// The same for some of the nodes, in that order; the first stays the coordinator.
  func restricted(to order: [Int]) -> CostModel {
    CostModel(
      nodes: order.map { nodes[$0] }, accelerators: order.map { accelerators[$0] },
      hop: order.map { source in order.map { hop[source][$0] } },
      chunkHop: order.map { source in order.map { chunkHop[source][$0] } },
      back: order.map { back[$0] }, workload: workload, chunkCount: chunkCount,
      chunkTokens: chunkTokens)
  }

  private init(
    nodes: [Node], accelerators: [Node], hop: [[Double]], chunkHop: [[Double]], back: [Double],
    workload: Workload, chunkCount: Int, chunkTokens: Int
  ) {
    self.nodes = nodes
    self.accelerators = accelerators
    self.hop = hop
    self.chunkHop = chunkHop
    self.back = back
    self.workload = workload
    self.chunkCount = chunkCount
    self.chunkTokens = chunkTokens
  }
}

/// A stage of a candidate plan: which node runs which layers.
package struct Stage: Sendable, Equatable {
  package var node: Int
  package var layers: Range<Int>
  package var holdsHead: Bool
  /// The first so many of the layers lie in the memory of a graphics card.
  package var accelerated: Int

  package init(node: Int, layers: Range<Int>, holdsHead: Bool = false, accelerated: Int = 0) {
    self.node = node
    self.layers = layers
    self.holdsHead = holdsHead
    self.accelerated = accelerated
  }
}

extension CostModel {
  /// Time from token to token through these stages, and back to the first.
  package func tokenNanoseconds(_ stages: [Stage]) -> Double {
    var time = 0.0
    for (index, stage) in stages.enumerated() {
      time += decode(stage)
      time += sendNanoseconds(stages, from: index)
    }
    return time
  }

  /// One token's message from a stage to the next, or from the last to the coordinator.
  func sendNanoseconds(_ stages: [Stage], from index: Int) -> Double {
    guard stages.count > 1 else { return 0 }
    let node = stages[index].node
    guard index == stages.count - 1 else { return hop[node][stages[index + 1].node] }
    // The coordinator's own head wants the hidden state, not a token.
    return stages[0].holdsHead ? hop[node][stages[0].node] : back[node]
  }

  /// The slowest stage or link for one token.
  package func bottleneckNanoseconds(_ stages: [Stage]) -> Double {
    var slowest = 0.0
    for (index, stage) in stages.enumerated() {
      let compute = decode(stage)
      slowest = max(slowest, compute, sendNanoseconds(stages, from: index))
    }
    return slowest
  }

  /// From the prompt to the first token: chunks overlap along the stages.
  package func firstTokenNanoseconds(_ stages: [Stage]) -> Double {
    var through = 0.0
    var slowest = 0.0
    for (index, stage) in stages.enumerated() {
      let compute = prefill(stage)
      through += compute
      slowest = max(slowest, compute)
      if index + 1 < stages.count {
        let send = chunkHop[stage.node][stages[index + 1].node]
        through += send
        slowest = max(slowest, send)
      } else {
        through += sendNanoseconds(stages, from: index)
      }
      if stage.holdsHead { through += nodes[stage.node].headPrefill }
    }
    return through + Double(chunkCount - 1) * slowest
  }

  package func requestNanoseconds(_ stages: [Stage]) -> Double {
    firstTokenNanoseconds(stages)
      + Double(workload.generateTokens - 1) * tokenNanoseconds(stages)
  }
}
