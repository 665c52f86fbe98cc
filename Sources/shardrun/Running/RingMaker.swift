import CommandLineSupport
import ShardRuntime
import ShardTransport
import TensorCore

/// Makes the ring of a running model, and makes it again where a node was lost.
final class RingMaker {
  /// The ring at work; nil before the first one stands.
  private(set) var pipeline: InferencePipeline?
  private let stage: Stage
  private let peers: PeerList?
  private let cluster: LocalCluster?
  private let transport: (any Transport)?
  private let prefillChunk: Int?
  private let sequences: Int?
  private let interruption: Interruption

  /// - Parameters:
  ///   - peers: where the other nodes are; nil where the cluster has them.
  ///   - transport: stays the caller's.
  ///   - sequences: how many to have; nil takes all.
  init(
    stage: Stage, peers: PeerList?, cluster: LocalCluster?, transport: (any Transport)?,
    prefillChunk: Int?, sequences: Int?, interruption: Interruption
  ) {
    self.stage = stage
    self.peers = peers
    self.cluster = cluster
    self.transport = transport
    self.prefillChunk = prefillChunk
    self.sequences = sequences
    self.interruption = interruption
  }

  /// Makes a ring in the place of the one there was.
  ///
  /// - Parameters:
  ///   - error: why there is none any more.
  ///   - patience: how long nodes that do not answer are asked again.
  func connect(after error: (any Error)?, patience: Duration) throws -> InferencePipeline {
    pipeline?.shutdown()
    var options = InferencePipeline.Options(prefillChunk: prefillChunk)
    options.connectPatience = patience
    options.sequences = sequences
    options.spares = peers?.spares ?? [:]
    let addresses = try peers?.peers ?? children(after: error)
    let ring = try InferencePipeline(
      stage: stage, peers: addresses, options: options, transport: transport)
    pipeline = ring
    return ring
  }

  /// Where the node processes of this machine listen, those that are gone started again.
  private func children(
    after loss: (any Error)?
  ) throws -> [(name: String, address: HostPort)] {
    guard let cluster else { return [] }
    do {
      if let loss { try cluster.replace(lost: Self.lostNode(loss)) }
      return try cluster.addresses(isInterrupted: { [interruption] in interruption.isRequested })
    } catch {
      guard loss != nil, error.code == "local.nodeDied" else { throw error }
      // It can be started once more.
      throw RuntimeFault("nodeLost", error.message, context: error.context)
    }
  }

  /// The node that an error says is gone. One that is only busy with the end of the last run is
  /// not.
  private static func lostNode(_ error: any Error) -> String? {
    guard let fault = error as? RuntimeFault,
      ["runtime.nodeLost", "runtime.unreachable"].contains(fault.code)
    else { return nil }
    return fault.context["node"]
  }
}
