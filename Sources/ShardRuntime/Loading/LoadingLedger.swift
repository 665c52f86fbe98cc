import ModelArchitectures
import ShardPackaging
import ShardPlanning
import TensorCore

extension MemoryLedger {
  /// The ledger of a package's node as it will be loaded here, by the planner's own estimator.
  ///
  /// - Parameter threads: compute threads of this process, which may be others than planned.
  init(package: VerifiedPackage, node: PlannedNode, memory: MemoryModel, threads: Int) {
    var settings = package.plan.settings
    settings.threads = threads
    let tokenizerBytes = package.assets.filter { $0.key != BundleFiles.configuration }
      .reduce(0) { $0 + $1.value.count }
    let footprint = CheckpointFootprint(memory: memory, tokenizerFileBytes: tokenizerBytes)
      .footprint(for: settings)
    self = footprint.ledger(
      layers: node.layers, holdsEmbedding: node.holdsEmbedding, holdsHead: node.holdsHead,
      ramBytes: node.ledger.ramBytes, reserveBytes: node.ledger.reserveBytes)
  }

  /// Systems count in pages, and round limits down to them.
  private static let largestPage = 64 << 10

  /// Refuses what is more than this process may take, before anything is loaded.
  ///
  /// Throws: `RuntimeFault` with the entries, what is allowed and what is missing.
  func require(_ allowance: MemoryAllowance?, node: String) throws(RuntimeFault) {
    guard let allowance, total - Self.largestPage >= allowance.bytes else { return }
    let missing = total - allowance.bytes
    func size(_ bytes: Int) -> String { Quantity.describe(bytes: bytes) }
    let parts = entries.map { "\($0.kind.words) \(size($0.bytes))" }.joined(separator: ", ")
    var context = [
      "node": node, "needed_bytes": String(total), "allowed_bytes": String(allowance.bytes),
      "missing_bytes": String(missing),
    ]
    for entry in entries { context["ledger_\(entry.kind.rawValue)"] = String(entry.bytes) }
    throw RuntimeFault(
      "doesNotFit",
      "\(node) does not fit into memory: it needs \(size(total)) (\(parts)), but "
        + "\(allowance.source) \(size(max(0, allowance.bytes))): \(size(missing)) are missing; "
        + "free memory here, or plan with more nodes or a smaller --context",
      exitStatus: .doesNotFit, context: context)
  }
}
