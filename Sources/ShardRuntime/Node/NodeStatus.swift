/// What a node says of itself to whoever may ask, while it serves a run too.
public struct NodeStatus: Sendable, Equatable {
  public enum Activity: String, Sendable, CaseIterable {
    /// Waiting for a coordinator.
    case idle
    /// A coordinator is there, and the ring is being made.
    case joining
    /// In a ring.
    case serving
  }

  public var description: StageDescription
  public var statistics: NodeStatistics
  public var activity: Activity
  /// The coordinator's name, or the names of all; nil while there is none.
  public var coordinator: String?
  /// Coordinators so far.
  public var runs: Int
  /// Sequences that it can hold at once.
  public var sequences: Int
  /// Sequences that coordinators have now.
  public var sequencesInUse: Int
  /// Seconds since the node began to listen.
  public var uptimeSeconds: Double
  /// Memory that the process has resident now.
  public var residentBytes: Int
}

extension NodeMachine {
  /// The machine's part of a status.
  struct Occupation: Equatable {
    var activity: NodeStatus.Activity
    var coordinator: String?
    var runs: Int
    var sequences: Int
    var sequencesInUse: Int
  }
}
