import Foundation
import Synchronization

/// Several shipments at once, each on a thread of its own.
public enum ShipRun {
  /// Runs them all to their ends; one that fails does not stop the others.
  public static func all(
    _ shipments: [Shipment], _ tell: @escaping @Sendable (Int, Shipment.Event) -> Void
  ) -> [Result<Shipment.Outcome, any Error>] {
    let results = Results(count: shipments.count)
    for (index, shipment) in shipments.enumerated() {
      Thread.detachNewThread {
        results.set(index, Result { try shipment.run { tell(index, $0) } })
      }
    }
    return results.wait()
  }

  private final class Results: Sendable {
    private let values: Mutex<[Result<Shipment.Outcome, any Error>?]>
    private let done = DispatchSemaphore(value: 0)

    init(count: Int) { values = Mutex(Array(repeating: nil, count: count)) }

    func set(_ index: Int, _ result: Result<Shipment.Outcome, any Error>) {
      values.withLock { $0[index] = result }
      done.signal()
    }

    func wait() -> [Result<Shipment.Outcome, any Error>] {
      for _ in values.withLock({ $0.indices }) { done.wait() }
      return values.withLock { $0.compactMap { $0 } }
    }
  }
}
