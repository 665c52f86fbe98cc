import ShardTransport
import Synchronization

/// Where the passes of one run send what they compute.
final class RunLinks: Sendable {
  let run: Int
  private let coordinator: Link
  private let downstream: Link?
  private let ended = Atomic(false)

  init(run: Int, coordinator: Link, downstream: Link?) {
    self.run = run
    self.coordinator = coordinator
    self.downstream = downstream
  }

  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  func end() { ended.store(true, ordering: .releasing) }

  /// Computes what a frame asks for and sends it on, waiting while the receiver is not ready.
  func process(_ frame: Frame, on stage: Stage) throws {
    switch frame.kind {
    case StepMessage.kind:
      let message = try StepMessage(frame)
      let onward = try stage.run(message) { part in
        try coordinator.send(ResultMessage(request: message.request, part: part).frame)
      }
      if let onward { try downstream?.send(onward.frame) }
    case ResetMessage.kind:
      let message = try ResetMessage(frame)
      try stage.reset(sequence: message.sequence)
      if let downstream {
        try downstream.send(frame)
      } else {
        try coordinator.send(ResultMessage(request: message.request, part: .done).frame)
      }
    default:
      throw PayloadReader.malformed("kind \(frame.kind) is unknown")
    }
  }
}
