import Foundation

/// What happens where a node is lost in the middle of a run.
public enum FailurePolicy: Sendable, Equatable {
  /// The run ends.
  case abort
  /// The ring is made again as soon as it can be, for at most so long, and the run goes on.
  case wait(Duration)
}

/// What a user may want to hear of a loss.
public enum RecoveryEvent: Sendable {
  /// The ring has ended, or could not be made; the node is waited for.
  case waiting(RuntimeFault, atMost: Duration)
  /// The ring is made again; so many tokens are computed anew on all nodes.
  case restored(after: Duration, replaying: Int)
}

extension RuntimeFault {
  /// Whether time can heal it: a node that does not answer, or has gone, may come back.
  public var isPassing: Bool {
    Self.passing.contains(code)
  }

  /// Whether a node has not even been reached, by this side or by the one before it.
  var isUnreached: Bool { ["runtime.unreachable", "runtime.cannotReach"].contains(code) }

  /// What happened, without the advice behind it.
  public var happening: String {
    message.range(of: "; ", options: .backwards).map { String(message[..<$0.lowerBound]) }
      ?? message
  }

  private static let passing: Set<String> = Set(
    [
      "nodeLost", "unreachable", "nodeStopping", "runEnded", "cannotReach", "tooLate", "busy",
      "unknownRun",
    ].map { "runtime." + $0 })
}
