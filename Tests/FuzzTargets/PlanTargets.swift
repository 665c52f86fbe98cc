import ShardPlanning

extension FuzzTarget {
  static let plans: [FuzzTarget] = [
    FuzzTarget("plan") { bytes, place in
      _ = try ShardPlan.read(from: try place.write(bytes, as: "plan.json"))
    },
    // A list of nodes may name files with profiles; the input is such a file as well.
    FuzzTarget("nodes") { bytes, place in
      let path = try place.write(bytes, as: "nodes.json")
      do { _ = try NodeProfile.read(from: path) } catch { _ = try Cluster.read(from: path) }
    },
  ]
}
