import ShardTransport

/// Makes a ring, and makes it again after a loss, as long as the policy has patience.
///
/// The patience is for all losses between one result and the next: a ring that breaks again and
/// again without getting on is given up too.
public final class RingRecovery {
  public let policy: FailurePolicy
  /// How often a ring was lost.
  public private(set) var losses = 0
  private let isInterrupted: () -> Bool
  private let onEvent: (RecoveryEvent) -> Void
  /// When to give up, since a loss that no result has followed yet.
  private var deadline: Duration?

  /// How long nodes that never answered are asked: they may be about to start, or the address may
  /// be wrong.
  static let firstPatience = Duration.seconds(8)
  /// What one attempt may take beside its handshakes, so that interruptions are noticed.
  private static let attempt = Duration.seconds(1)
  private static let breath = Duration.milliseconds(100)

  /// - Parameters:
  ///   - isInterrupted: asked between two attempts.
  ///   - onEvent: told of losses and of rings that stand again.
  public init(
    _ policy: FailurePolicy, isInterrupted: @escaping () -> Bool = { false },
    onEvent: @escaping (RecoveryEvent) -> Void = { _ in }
  ) {
    self.policy = policy
    self.isInterrupted = isInterrupted
    self.onEvent = onEvent
  }

  /// Makes the first ring. What `connect` throws ends it at once, unless time can heal it.
  ///
  /// - Parameter connect: takes the error before this attempt, and how long peers that do not
  ///   answer are asked again.
  public func establish<Ring>(
    patience: Duration, _ connect: ((any Error)?, Duration) throws -> Ring
  ) throws -> Ring {
    do {
      return try connect(nil, patience)
    } catch let fault as RuntimeFault where fault.isPassing && fault.exitStatus != .tryAgain {
      let most = fault.isUnreached ? Self.firstPatience : nil
      let ring = try restore(after: fault, atMost: most, replaying: 0, connect)
      madeProgress()
      return ring
    }
  }

  /// Makes the ring again.
  ///
  /// - Parameter replaying: how many tokens will be computed anew.
  /// Throws: the error itself where it is not worth waiting; `runtime.nodeLost` where the patience
  /// is over.
  public func restore<Ring>(
    after error: any Error, atMost limit: Duration? = nil, replaying count: Int,
    _ connect: (any Error, Duration) throws -> Ring
  ) throws -> Ring {
    guard case .wait(let time) = policy, let fault = error as? RuntimeFault, fault.isPassing else {
      throw error
    }
    let start = Monotonic.now()
    let patience = min(time, limit ?? time)
    let deadline = deadline ?? start + patience
    self.deadline = deadline
    losses += 1
    onEvent(.waiting(fault, atMost: max(.zero, deadline - start)))
    var latest = fault
    while true {
      if isInterrupted() { throw GenerationFault.interrupted }
      let left = deadline - Monotonic.now()
      guard left > .zero else { throw Self.gaveUp(fault, latest, after: patience) }
      do {
        let ring = try connect(latest, min(left, Self.attempt))
        onEvent(.restored(after: Monotonic.now() - start, replaying: count))
        return ring
      } catch let fault as RuntimeFault where fault.isPassing {
        latest = fault
        pause(Self.breath)
      }
    }
  }

  /// A result came: the next loss has the whole patience again.
  public func madeProgress() { deadline = nil }

  private static func gaveUp(
    _ fault: RuntimeFault, _ latest: RuntimeFault, after time: Duration
  ) -> RuntimeFault {
    var context = fault.context
    for (key, value) in latest.context { context[key] = value }
    let node = context["node"] ?? "a node"
    return RuntimeFault(
      "nodeLost",
      latest.code == "runtime.busy"
        ? "\(node) had no room within \(describe(time)): \(latest.message)"
        : "\(node) did not come back within \(describe(time)): \(latest.message)",
      exitStatus: latest.exitStatus, context: context)
  }

  /// A time as users write it.
  public static func describe(_ time: Duration) -> String {
    let seconds = time.inSeconds
    guard seconds != seconds.rounded() else { return "\(Int(seconds)) s" }
    return seconds < 1
      ? "\(Int((seconds * 1000).rounded())) ms" : "\(Double(Int(seconds * 10)) / 10) s"
  }
}
