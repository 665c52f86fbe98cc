import ShardTransport
import Synchronization

/// Where the passes of one run send what they compute.
final class RunLinks: Sendable {
  let run: Int
  private let coordinator: Link
  private let downstream: Link?
  /// The stage's sequences that are the run's, in its own count.
  private let sequences: [Int]
  let meter: StageMeter
  private let ended = Atomic(false)

  init(
    run: Int, coordinator: Link, downstream: Link?, sequences: [Int], meter: StageMeter
  ) {
    self.run = run
    self.coordinator = coordinator
    self.downstream = downstream
    self.sequences = sequences
    self.meter = meter
  }

  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  func end() { ended.store(true, ordering: .releasing) }

  /// Computes what a frame asks for and sends it on, waiting while the receiver is not ready.
  func process(_ frame: Frame, on stage: Stage) throws {
    switch frame.kind {
    case StepMessage.kind:
      let message = try StepMessage(frame)
      let place = try place(of: message.sequence, on: stage)
      let onward = try stage.run(message, in: place, meter: meter) { part in
        try coordinator.send(ResultMessage(request: message.request, part: part).frame)
      }
      if let onward { try downstream?.send(onward.frame) }
    case ResetMessage.kind:
      let message = try ResetMessage(frame)
      try stage.reset(sequence: try place(of: message.sequence, on: stage))
      try passOn(frame, request: message.request)
    case RewindMessage.kind:
      let message = try RewindMessage(frame)
      try stage.rewind(
        sequence: try place(of: message.sequence, on: stage), to: message.position)
      try passOn(frame, request: message.request)
    default:
      throw PayloadReader.malformed("kind \(frame.kind) is unknown")
    }
  }

  /// Which of the stage's sequences a number of this run means.
  private func place(of sequence: Int, on stage: Stage) throws(RuntimeFault) -> Int {
    guard sequences.indices.contains(sequence) else {
      throw stage.unknownSequence(sequence, room: sequences.count)
    }
    return sequences[sequence]
  }

  /// Hands an order on, or reports from the last node that all have followed it.
  private func passOn(_ frame: Frame, request: UInt32) throws {
    if let downstream {
      try downstream.send(frame)
    } else {
      try coordinator.send(ResultMessage(request: request, part: .done).frame)
    }
  }
}
