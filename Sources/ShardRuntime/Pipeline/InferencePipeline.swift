import ShardTransport

/// The coordinator's side of a ring of nodes: it embeds ids, runs its own layers and sends the
/// rest of the way.
///
/// Calls block, and come from one thread.
public final class InferencePipeline {
  public struct Options: Sendable {
    /// Rows of a prefill pass; nil takes the plan's, which is also the most.
    public var prefillChunk: Int?
    public init() {}
  }

  public let description: StageDescription

  /// Connects to the peers, compares notes and sends a probe token round; without peers the node
  /// must hold the whole model.
  public init(
    stage: Stage, peers: [(name: String, address: HostPort)] = [], options: Options = Options()
  ) throws {
    description = stage.description
  }

  /// Forgets the sequence on every node.
  public func reset() throws {}

  /// Runs ids at consecutive positions through all nodes.
  public func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult {
    .none
  }

  /// Times and memory of every node, in ring order.
  ///
  /// - Parameter restart: whether the nodes begin to count anew.
  public func statistics(restart: Bool = false) throws -> [NodeStatistics] { [] }

  /// Says goodbye to the nodes, which then serve the next coordinator.
  public func shutdown() {}
}
