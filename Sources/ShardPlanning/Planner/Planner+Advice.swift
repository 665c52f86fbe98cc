import TensorCore

extension Planner {
  /// What would make a model fit that does not: each piece of advice has been tried.
  func advice(_ request: PlanRequest, _ shortage: Shortage) -> [String] {
    var advice: [String] = []
    if let context = largestContext(request), context >= min(256, request.settings.context) {
      advice.append("--context \(context)")
    }
    if let fewer = source.withFewerBits() {
      let planner = Planner(source: fewer.source, cluster: cluster)
      if planner.fits(request, split: request.split) {
        advice.append("--bits \(fewer.bits) when quantizing")
      }
    }
    if request.split != nil, fits(request) {
      advice.append("leaving --split out: another split fits")
    }
    if let count = nodesNeeded(request) {
      advice.append(
        cluster.allTakePart
          ? "--nodes \(count)" : "\(count - cluster.nodes.count) more nodes like the last")
    }
    if advice.isEmpty, let ram = memoryNeeded(request, shortage) {
      advice.append("nodes with \(Quantity.describe(bytes: ram)) of memory")
    }
    return advice
  }

  /// The largest context, up to the model's, at which a plan fits; a multiple of 256 where it is
  /// below the one asked for.
  public func largestContext(_ request: PlanRequest) -> Int? {
    let most = min(source.facts.contextLength, PlanSettings.maximumContext)
    func fits(_ context: Int) -> Bool {
      var request = request
      request.settings.context = context
      request.settings.prefillChunk = min(request.settings.prefillChunk, context)
      request.workload = .standard(context: context)
      return self.fits(request, split: request.split)
    }
    if fits(most) { return most }
    let step = most > 256 ? 256 : 1
    var low = 0
    var high = (most + step - 1) / step
    while high - low > 1 {
      let middle = (low + high) / 2
      if fits(middle * step) { low = middle } else { high = middle }
    }
    return low > 0 ? low * step : nil
  }

  func fits(_ request: PlanRequest, split: [Int]?) -> Bool {
    guard let split else { return fits(request) }
    return tables(for: request).shortage(Self.stages(split)) == nil
  }

  /// How many nodes it would take if more like the last one came.
  private func nodesNeeded(_ request: PlanRequest) -> Int? {
    guard request.split == nil, let last = cluster.nodes.last else { return nil }
    let most = min(Cluster.maximumNodeCount, source.facts.layerCount)
    var nodes = cluster.nodes
    while nodes.count < most {
      var node = last
      node.name = "node-\(nodes.count)-more"
      nodes.append(node)
      guard
        let larger = try? Cluster(
          nodes: nodes, defaultLink: cluster.defaultLink, allTakePart: false)
      else { return nil }
      if Planner(source: source, cluster: larger).fits(request) { return nodes.count }
    }
    return nil
  }

  /// Memory of the fullest node that would do, in whole GiB.
  private func memoryNeeded(_ request: PlanRequest, _ shortage: Shortage) -> Int? {
    guard let node = cluster.nodes.first(where: { $0.name == shortage.worst.name }) else {
      return nil
    }
    let gib = 1 << 30
    return (node.ramBytes + shortage.worst.missingBytes + gib - 1) / gib * gib
  }
}
