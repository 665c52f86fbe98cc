import ShardTransport

/// Proof that a ring runs the embedding, every layer and the head exactly once, in order.
enum RingCoverage {
  /// Checks the names that a user gave against those of the plan.
  ///
  /// - Returns: the peers in ring order.
  /// Throws: `runtime.missingNode`, `runtime.nodeTwice`, `runtime.unknownNode` or
  /// `runtime.notCoordinator`.
  static func order(
    _ peers: [(name: String, address: HostPort)], for own: StageDescription
  ) throws(RuntimeFault) -> [(name: String, address: HostPort)] {
    guard own.node == own.nodeNames.first, own.holdsEmbedding else {
      throw RuntimeFault(
        "notCoordinator",
        "\(own.node) cannot begin a run: the embedding is on \(own.nodeNames.first ?? "no node"); "
          + "run this command there", exitStatus: .usage, context: ["node": own.node])
    }
    let wanted = own.nodeNames.dropFirst()
    for (index, peer) in peers.enumerated() {
      guard wanted.contains(peer.name) else {
        let known = wanted.isEmpty ? "this bundle needs none" : wanted.joined(separator: ", ")
        throw RuntimeFault(
          "unknownNode",
          peer.name == own.node
            ? "\(peer.name) is this node itself; peers are \(known)"
            : "there is no node \(peer.name); peers are \(known)",
          exitStatus: .usage, context: ["node": peer.name])
      }
      if let other = peers[..<index].first(where: {
        $0.name == peer.name || $0.address == peer.address
      }) {
        throw RuntimeFault(
          "nodeTwice",
          other.name == peer.name
            ? "\(peer.name) is given twice, at \(other.address) and at \(peer.address)"
            : "\(other.name) and \(peer.name) are both given at \(peer.address)",
          exitStatus: .usage, context: ["node": peer.name])
      }
    }
    var ordered: [(name: String, address: HostPort)] = []
    for name in wanted {
      guard let peer = peers.first(where: { $0.name == name }) else {
        throw RuntimeFault(
          "missingNode",
          "\(name) is missing; start it with shardrun node and give --peers \(name)=HOST:PORT",
          exitStatus: .usage, context: ["node": name])
      }
      ordered.append(peer)
    }
    return ordered
  }

  /// Checks what the nodes say that they hold.
  ///
  /// Throws: `runtime.coverage` naming the first node that does not fit.
  static func check(_ stages: [StageDescription]) throws(RuntimeFault) {
    guard let first = stages.first, let last = stages.last else { return }
    var next = 0
    for (index, stage) in stages.enumerated() {
      let expected = first.nodeNames.indices.contains(index) ? first.nodeNames[index] : "none"
      guard stage.node == expected else {
        throw mismatch(stage, "is \(stage.node) where \(expected) is due")
      }
      guard stage.bundleID == first.bundleID, stage.nodeNames == first.nodeNames,
        stage.layerCount == first.layerCount, stage.hiddenSize == first.hiddenSize,
        stage.vocabularySize == first.vocabularySize, stage.context == first.context,
        stage.prefillChunk == first.prefillChunk, stage.hiddenFormat == first.hiddenFormat
      else { throw mismatch(stage, "has another plan than \(first.node)") }
      guard stage.layers.lowerBound == next else {
        throw mismatch(stage, "begins with layer \(stage.layers.lowerBound) where \(next) is due")
      }
      guard stage.holdsEmbedding == (index == 0) else {
        throw mismatch(stage, index == 0 ? "lacks the embedding" : "has the embedding again")
      }
      guard stage.holdsHead == (index == stages.count - 1) else {
        throw mismatch(stage, stage.holdsHead ? "has the head too early" : "lacks the head")
      }
      next = stage.layers.upperBound
    }
    guard next == first.layerCount else {
      throw mismatch(last, "ends with layer \(next - 1) of \(first.layerCount)")
    }
  }

  private static func mismatch(_ stage: StageDescription, _ what: String) -> RuntimeFault {
    RuntimeFault(
      "coverage", "\(stage.node) \(what); give all nodes parts of the same bundle",
      exitStatus: .badData, context: ["node": stage.node])
  }
}
