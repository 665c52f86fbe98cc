import TensorCore

/// Profiles that a measured run has corrected.
public struct Calibration: Sendable {
  public let cluster: Cluster
  /// What was found, a sentence for each node and for the links.
  public let findings: [String]

  /// A factor beyond this is a mistake of the measurement, not of the profile.
  private static let factors = 0.02...50.0

  /// Scales the speeds of the measured nodes, so that the cost model gives the measured times for
  /// the same layers, and the links, so that it gives the measured time of messages.
  ///
  /// - Parameter source: where the measurement comes from, for faults.
  /// Throws: `PlanFault` where the run was of another model or of other nodes.
  public init(
    _ cluster: Cluster, by run: RunMeasurement, footprint: ModelFootprint, source: String
  ) throws(PlanFault) {
    try Self.requireSameModel(run, footprint, source)
    let workload = Workload(
      promptTokens: run.promptTokens, generateTokens: run.generateTokens)
    var nodes = cluster.nodes
    var findings: [String] = []
    var stages: [Stage] = []
    for (place, measured) in run.nodes.enumerated() {
      guard let index = nodes.firstIndex(where: { $0.name == measured.name }) else {
        throw PlanFault.badData(
          "badMeasurement",
          "\(measured.name) was measured, but the nodes to plan for are "
            + nodes.map(\.name).joined(separator: ", "), source: source)
      }
      let stage = Stage(
        node: index, layers: measured.layers, holdsHead: place == run.nodes.count - 1)
      stages.append(stage)
      let costs = CostModel(footprint: footprint, cluster: cluster, workload: workload)
      var finding: [String] = []
      if let seconds = measured.decodeSeconds, seconds > 0 {
        let factor = Self.factor(seconds * 1e9, costs.decode(stage))
        nodes[index].compute.slowDown(by: factor)
        finding.append("\(Self.times(factor)) the predicted time per token")
      }
      if let seconds = measured.prefillSeconds, seconds > 0 {
        let corrected = CostModel(
          footprint: footprint, cluster: cluster.replacing(nodes), workload: workload)
        let chunk = Double(corrected.chunkTokens)
        let factor = Self.factor(seconds * 1e9 * chunk, corrected.prefill(stage))
        nodes[index].compute.operationsPerSecond = ComputeProfile.scaled(
          nodes[index].compute.operationsPerSecond, by: 1 / factor)
        finding.append("\(Self.times(factor)) the time per prompt token")
      }
      if !finding.isEmpty {
        findings.append("\(measured.name) took \(finding.joined(separator: " and "))")
      }
    }
    var corrected = cluster.replacing(nodes)
    if stages.count > 1, run.messageSeconds > 0 {
      let costs = CostModel(footprint: footprint, cluster: cluster, workload: workload)
      let predicted = stages.indices.reduce(0) { $0 + costs.sendNanoseconds(stages, from: $1) }
      let factor = Self.factor(run.messageSeconds * 1e9, predicted)
      corrected = corrected.slowingLinks(by: factor)
      findings.append("messages took \(Self.times(factor)) the predicted time")
    }
    self.cluster = corrected
    self.findings = findings
  }

  private static func requireSameModel(
    _ run: RunMeasurement, _ footprint: ModelFootprint, _ source: String
  ) throws(PlanFault) {
    let parts = [footprint.embedding, footprint.head] + footprint.layers
    let bytes = parts.reduce(0) { $0 + $1.readBytes.values.reduce(0, +) }
    guard abs(bytes - run.weightBytesPerToken) <= bytes / 100 else {
      throw PlanFault.badData(
        "badMeasurement",
        "the run was of another model: it read "
          + "\(Quantity.describe(bytes: run.weightBytesPerToken)) a token, this one reads "
          + "\(Quantity.describe(bytes: bytes))", source: source)
    }
    try requireEveryLayer(of: footprint.layers.count, run, source)
  }

  /// Each layer was computed by one node, in order, and no node stands there twice.
  private static func requireEveryLayer(
    of count: Int, _ run: RunMeasurement, _ source: String
  ) throws(PlanFault) {
    func fault(_ what: String) -> PlanFault {
      PlanFault.badData(
        "badMeasurement", "\(what); give what shardrun bench --json printed", source: source)
    }
    var names: Set<String> = []
    var next = 0
    for node in run.nodes {
      guard names.insert(node.name).inserted else { throw fault("\(node.name) stands there twice") }
      guard node.layers.lowerBound == next else {
        throw fault(
          "\(node.name) begins with layer \(node.layers.lowerBound), where layer \(next) follows")
      }
      next = node.layers.upperBound
    }
    guard next == count else {
      throw fault(
        "the run was of another model: its nodes have \(Quantity.count(next, "layer")), this one "
          + "has \(count)")
    }
  }

  private static func factor(_ measured: Double, _ predicted: Double) -> Double {
    min(max(measured / max(1, predicted), factors.lowerBound), factors.upperBound)
  }

  private static func times(_ factor: Double) -> String {
    "\(Quantity.fixed(factor, digits: 2)) times"
  }
}

extension ComputeProfile {
  static func scaled(_ rate: Int, by factor: Double) -> Int {
    let range = NodeProfile.rateRange
    return Int(
      min(max(Double(rate) * factor, Double(range.lowerBound)), Double(range.upperBound)))
  }

  static func scaledTime(_ nanoseconds: Int, by factor: Double) -> Int {
    Int(min(Double(nanoseconds) * factor, Double(NodeProfile.nanosecondRange.upperBound)))
  }

  /// Makes everything that counts for a token slower by a factor.
  fileprivate mutating func slowDown(by factor: Double) {
    weightBytesPerSecond = Self.scaled(weightBytesPerSecond, by: 1 / factor)
    weightBytesPerSecondByScheme = weightBytesPerSecondByScheme.mapValues {
      Self.scaled($0, by: 1 / factor)
    }
    layerNanoseconds = Self.scaledTime(layerNanoseconds, by: factor)
    passNanoseconds = Self.scaledTime(passNanoseconds, by: factor)
  }
}

extension LinkProfile {
  fileprivate func slower(by factor: Double) -> LinkProfile {
    LinkProfile(
      roundTripNanoseconds: ComputeProfile.scaledTime(roundTripNanoseconds, by: factor),
      bytesPerSecond: ComputeProfile.scaled(bytesPerSecond, by: 1 / factor))
  }
}

extension Cluster {
  /// The same links between nodes with other profiles.
  func replacing(_ nodes: [NodeProfile]) -> Cluster {
    Cluster(nodes: nodes, like: self, links: { $0 })
  }

  func slowingLinks(by factor: Double) -> Cluster {
    Cluster(nodes: nodes, like: self, links: { $0.slower(by: factor) })
  }
}
