import CommandLineSupport
import ShardPlanning
import ShardRuntime
import StrictJSON
import TensorCore

/// What the nodes of a run took, beside what their plan allowed them.
struct NodeReport {
  private let plan: ShardPlan
  private let nodes: [NodeStatistics]

  init(_ shard: LoadedShard, _ nodes: [NodeStatistics]) {
    plan = shard.plan
    self.nodes = nodes
  }

  private func planned(_ node: NodeStatistics) -> PlannedNode? { try? plan.node(named: node.node) }

  /// A line for each node.
  var lines: [String] {
    nodes.map { node in
      var line = "\(node.node)  layers \(node.layers.lowerBound)-\(node.layers.upperBound - 1)"
      if let seconds = node.secondsPerDecodeStep {
        line += "  \(Quantity.fixed(seconds * 1000, digits: 3)) ms/token"
      }
      line += "  peak memory \(Quantity.describe(bytes: node.peakResidentBytes))"
      if let bytes = node.ledgerBytes {
        line += " of \(Quantity.describe(bytes: bytes)) planned"
      }
      return line
    }
  }

  var json: JSONValue {
    .array(
      nodes.map { node in
        let planned = planned(node)
        return [
          "name": .string(node.node),
          "first_layer": JSONValue(node.layers.lowerBound),
          "layer_count": JSONValue(node.layers.count),
          "decode_seconds_per_token": .optional(node.secondsPerDecodeStep),
          "prefill_seconds_per_token": .optional(node.secondsPerPrefillToken),
          "predicted_decode_seconds_per_token": .optional(
            planned.map { Double($0.predicted.decodeNanoseconds) * 1e-9 }),
          "peak_resident_bytes": JSONValue(node.peakResidentBytes),
          "ledger_bytes": node.ledgerBytes.map { JSONValue($0) } ?? .null,
        ]
      })
  }
}

extension JSONValue {
  /// A number, or null where there is none.
  static func optional(_ value: Double?) -> JSONValue { value.map { .double($0) } ?? .null }
}
