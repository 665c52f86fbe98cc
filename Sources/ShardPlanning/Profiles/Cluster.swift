import TensorCore

/// The machines of a plan and the links between them.
///
/// The first node is the coordinator: it has the user, the tokenizer and the embedding.
public struct Cluster: Sendable, Equatable {
  public let nodes: [NodeProfile]
  /// Where no other is given for a pair.
  public let defaultLink: LinkProfile
  /// Links of single pairs: `pairLinks[from][to]` by index, nil for the default one.
  let pairLinks: [[LinkProfile?]]
  /// Whether each node must get layers, as `--nodes 3` says, or the planner may leave some out.
  public var allTakePart: Bool

  /// More nodes than this are refused.
  public static let maximumNodeCount = 16

  /// Throws: `PlanFault` for no node, too many, names that repeat or memory out of range.
  public init(
    nodes: [NodeProfile], defaultLink: LinkProfile = .gigabitEthernet,
    links: [(from: String, to: String, link: LinkProfile)] = [], allTakePart: Bool
  ) throws(PlanFault) {
    guard !nodes.isEmpty else { throw PlanFault.usage("noNodes", "a plan needs at least one node") }
    guard nodes.count <= Self.maximumNodeCount else {
      throw PlanFault.usage(
        "tooManyNodes",
        "\(nodes.count) nodes are too many; at most \(Self.maximumNodeCount) can take part")
    }
    var indexByName: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      try Self.check(node)
      guard indexByName.updateValue(index, forKey: node.name) == nil else {
        throw PlanFault.usage(
          "duplicateName", "two nodes are named \(node.name); give each a name of its own")
      }
    }
    var table = [[LinkProfile?]](
      repeating: [LinkProfile?](repeating: nil, count: nodes.count), count: nodes.count)
    for (from, to, link) in links {
      guard let source = indexByName[from], let target = indexByName[to], source != target else {
        throw PlanFault.usage(
          "badLink", "the link from \(from) to \(to) does not join two nodes of the list")
      }
      guard table[source][target] == nil else {
        throw PlanFault.usage("badLink", "the link from \(from) to \(to) is given twice")
      }
      table[source][target] = link
    }
    // What is measured one way holds the other way too, unless that was measured as well.
    for source in nodes.indices {
      for target in nodes.indices where table[source][target] == nil {
        table[source][target] = table[target][source]
      }
    }
    self.nodes = nodes
    self.defaultLink = defaultLink
    pairLinks = table
    self.allTakePart = allTakePart
  }

  /// Equal nodes `node-0`, `node-1` …, all of which take part.
  public init(
    count: Int, ramBytes: Int, reserveBytes: Int? = nil, vramBytes: Int = 0,
    compute: ComputeProfile = .coreI5Laptop, link: LinkProfile = .gigabitEthernet
  ) throws(PlanFault) {
    guard (1...Self.maximumNodeCount).contains(count) else {
      throw PlanFault.usage(
        "badNodeCount",
        "\(Quantity.count(count, "node")) cannot be planned for; give a number from 1 to "
          + "\(Self.maximumNodeCount)")
    }
    var nodes: [NodeProfile] = []
    for index in 0..<count {
      nodes.append(
        NodeProfile(
          name: "node-\(index)", ramBytes: ramBytes, reserveBytes: reserveBytes,
          vramBytes: vramBytes, compute: compute))
    }
    try self.init(nodes: nodes, defaultLink: link, allTakePart: true)
  }

  private static func check(_ node: NodeProfile) throws(PlanFault) {
    guard StrictObject.isNodeName(node.name) else {
      throw PlanFault.usage(
        "badName",
        "\"\(node.name.prefix(80))\" is no name for a node; use 1 to 64 letters, digits,"
          + " '-', '_' or '.'")
    }
    let believed = NodeProfile.minimumRAMBytes...NodeProfile.maximumRAMBytes
    guard believed.contains(node.ramBytes) else {
      throw PlanFault.usage(
        "badMemory",
        "\(node.name) has \(Quantity.count(node.ramBytes, "byte")) of memory; expected "
          + "\(Quantity.describe(bytes: believed.lowerBound)) to "
          + "\(Quantity.describe(bytes: believed.upperBound)), written as 8G")
    }
    guard (0..<node.ramBytes).contains(node.reserveBytes) else {
      throw PlanFault.usage(
        "badReserve",
        "\(node.name) reserves \(Quantity.describe(bytes: node.reserveBytes)) of "
          + "\(Quantity.describe(bytes: node.ramBytes)); the reserve must be smaller")
    }
    guard (0...NodeProfile.maximumRAMBytes).contains(node.vramBytes) else {
      throw PlanFault.usage(
        "badMemory",
        "\(node.name) has \(node.vramBytes) bytes of VRAM; expected 0 to "
          + Quantity.describe(bytes: NodeProfile.maximumRAMBytes))
    }
    for profile in [node.compute, node.accelerator] {
      let rates =
        [profile.weightBytesPerSecond, profile.operationsPerSecond]
        + profile.weightBytesPerSecondByScheme.values
      let times = [profile.layerNanoseconds, profile.passNanoseconds]
      guard rates.allSatisfy(NodeProfile.rateRange.contains),
        times.allSatisfy(NodeProfile.nanosecondRange.contains)
      else {
        throw PlanFault.usage("badSpeed", "\(node.name) has a speed or time that no machine has")
      }
    }
  }

  private init(restricting cluster: Cluster, to order: [Int]) {
    nodes = order.map { cluster.nodes[$0] }
    defaultLink = cluster.defaultLink
    pairLinks = order.map { source in order.map { cluster.pairLinks[source][$0] } }
    allTakePart = true
  }

  /// Other profiles of the same nodes, and links changed alike.
  init(nodes: [NodeProfile], like cluster: Cluster, links: (LinkProfile) -> LinkProfile) {
    precondition(nodes.count == cluster.nodes.count, "as many profiles as nodes")
    self.nodes = nodes
    defaultLink = links(cluster.defaultLink)
    pairLinks = cluster.pairLinks.map { row in row.map { $0.map(links) } }
    allTakePart = cluster.allTakePart
  }

  /// Some of the nodes, in that order, all of which take part.
  func restricted(to order: [Int]) -> Cluster { Cluster(restricting: self, to: order) }

  /// The way from one node to another.
  public func link(from source: Int, to target: Int) -> LinkProfile {
    pairLinks[source][target] ?? defaultLink
  }

  /// Whether all pairs are joined alike.
  var hasUniformLinks: Bool { pairLinks.allSatisfy { $0.allSatisfy { $0 == nil } } }
}
