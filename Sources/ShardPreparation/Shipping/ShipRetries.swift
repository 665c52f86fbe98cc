/// How often a broken connection may still be made again.
///
/// What a receiver says it has stored counts once the next connection finds less missing than any
/// before; a receiver that was found wrong about it is not believed again.
package struct ShipRetries {
  /// Broken connections in a row that brought nothing new.
  private var failures = 0
  private let limit: Int
  /// The fewest bytes that were missing when a connection began.
  private var fewestMissing: Int?
  /// What `failures` was before the receiver said that it had stored something.
  private var failuresBefore: Int?
  private var isBelieved = true

  package init(limit: Int) { self.limit = limit }

  /// A receiver has said what it lacks.
  package mutating func connectionBegins(missing: Int) {
    if missing < fewestMissing ?? 0 {
      failures = 0
    } else if let before = failuresBefore {
      failures += before
      isBelieved = false
    }
    failuresBefore = nil
    fewestMissing = min(fewestMissing ?? missing, missing)
  }

  /// The connection that ends has stored something, as the receiver says.
  package mutating func receiverHasStored() {
    guard isBelieved else { return }
    failuresBefore = failures
    failures = 0
  }

  package var isLeft: Bool { failures < limit }

  /// Counts a connection that broke; returns the seconds until the next.
  package mutating func countFailure() -> Int {
    let seconds = min(15, 1 << min(failures, 4))
    failures += 1
    return seconds
  }
}
