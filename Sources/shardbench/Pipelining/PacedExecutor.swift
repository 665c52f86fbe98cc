import ShardRuntime
import ShardTransport
import TensorCore

/// A node's real computations of a sequence, of which each pass takes at least a given time: as if
/// every node had a machine of its own, of that speed.
final class PacedExecutor: StageExecutor {
  private let session: ShardSession
  private let passTime: Duration

  init(_ session: ShardSession, passTime: Duration) {
    self.session = session
    self.passTime = passTime
  }

  var rewinding: RewindRule { session.rewinding }
  var logitsCapacity: Int { session.logitsCapacity }

  func reset() { session.reset() }

  func embed(_ ids: [Int32], firstPosition: Int, into hidden: Matrix) {
    session.embed(ids, firstPosition: firstPosition, into: hidden)
  }

  func forward(_ hidden: Matrix, rows: Int, firstPosition: Int) {
    let end = Monotonic.now() + passTime
    session.forward(hidden, rows: rows, firstPosition: firstPosition)
    pause(max(.zero, end - Monotonic.now()))
  }

  func logits(_ hidden: Matrix, rows: Range<Int>) -> Matrix { session.logits(hidden, rows: rows) }

  func logSumExp(_ logits: Matrix, row: Int) -> Double { session.logSumExp(logits, row: row) }
}
