/// Which earlier positions a sequence can be taken back to without running it from its start.
///
/// Every node of a ring judges by the same rule, which is one of the whole model, so that all keep
/// the same positions.
public struct RewindRule: Sendable, Equatable {
  /// A layer that attends to a window only, whose cache forgets what leaves it.
  package struct Ring: Sendable, Equatable {
    /// Positions that a token attends to, itself among them.
    package let window: Int
    /// Places of the cache: position p takes the place of position p - capacity.
    package let capacity: Int

    package init(window: Int, capacity: Int) {
      self.window = window
      self.capacity = capacity
    }
  }

  private let isPossible: Bool
  private let rings: [Ring]

  private init(isPossible: Bool, rings: [Ring]) {
    self.isPossible = isPossible
    self.rings = rings
  }

  /// For executors that only go forward.
  public static let never = RewindRule(isPossible: false, rings: [])

  package init(rings: [Ring]) { self.init(isPossible: true, rings: rings) }

  /// Whether a sequence can go on at a position.
  ///
  /// - Parameter written: how many positions were ever stored since the last reset.
  package func allows(_ position: Int, written: Int) -> Bool {
    guard position > 0 else { return position == 0 }
    guard isPossible, position <= written else { return false }
    return rings.allSatisfy { ring in
      // The oldest position that the next token attends to must not have been written over.
      max(0, position - ring.window + 1) >= written - ring.capacity
    }
  }
}
