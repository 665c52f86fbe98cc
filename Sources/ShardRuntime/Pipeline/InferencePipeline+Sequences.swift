/// Whatever runs several sequences of a model at once, so that no node waits for another.
public protocol SequencesRunner: AnyObject {
  /// How many sequences it can have under way.
  var sequences: Int { get }

  /// Sends ids of a sequence on their way; at position 0 the sequence is forgotten first.
  ///
  /// Precondition: nothing of this sequence is on its way.
  func submit(_ ids: [Int32], sequence: Int, firstPosition: Int, output: StepOutput) throws

  /// Waits for the next call that is done.
  ///
  /// Precondition: something is on its way.
  func nextResult() throws -> (sequence: Int, result: StepResult)
}

/// Ids of one sequence on their way through the ring.
struct SubmittedCall {
  let sequence: Int
  /// An order to forget the sequence where there was one, then the passes.
  let requests: [UInt32]
  let isReset: Bool
  /// What came of it, where there is no ring.
  var results: [StepResult]?
}

extension InferencePipeline: SequencesRunner {
  public var sequences: Int { slots.count }

  /// Each pass of a prompt queues behind what other sequences have to compute, so that they go on
  /// while it is read.
  public func submit(
    _ ids: [Int32], sequence: Int, firstPosition: Int, output: StepOutput
  ) throws {
    precondition(!calls.contains { $0.sequence == sequence }, "one call of a sequence at a time")
    let isReset = firstPosition == 0 && slots[sequence].written > 0
    try check(ids, firstPosition, output, isReset ? Slot() : slots[sequence])
    try rememberingFailure {
      if isReset { slots[sequence] = Slot() }
      let steps = plan(ids, firstPosition: firstPosition, output: output)
      calls.append(
        try ring.map { send(steps, of: sequence, isReset: isReset, through: $0) }
          ?? compute(steps, of: sequence, isReset: isReset))
      slots[sequence].advance(by: ids.count)
    }
  }

  public func nextResult() throws -> (sequence: Int, result: StepResult) {
    precondition(!calls.isEmpty, "nothing is on its way")
    return try rememberingFailure {
      let (index, results) =
        try ring?.firstResults(of: calls.map(\.requests)) ?? (0, calls[0].results ?? [])
      let call = calls.remove(at: index)
      return (call.sequence, StepResult(joining: Array(results.dropFirst(call.isReset ? 1 : 0))))
    }
  }

  /// Without other nodes the call is done at once.
  private func compute(_ steps: [Step], of sequence: Int, isReset: Bool) throws -> SubmittedCall {
    if isReset { try stage.reset(sequence: sequence) }
    return SubmittedCall(
      sequence: sequence, requests: [], isReset: false,
      results: try runHere(steps, sequence: sequence))
  }

  private func send(
    _ steps: [Step], of sequence: Int, isReset: Bool, through ring: RingClient
  ) -> SubmittedCall {
    let resets = ring.request(isReset ? [(.nothing, 0)] : [])
    let requests = ring.request(steps.map { ($0.output, $0.ids.count) })
    let passes = zip(steps, requests).map { Pass(sequence: sequence, step: $0, request: $1) }
    Self.enqueue(on: stage, ring) { [stage] in
      if let reset = resets.first {
        try stage.reset(sequence: sequence)
        try ring.send(ResetMessage(request: reset, sequence: sequence).frame)
      }
      Self.feed(passes[...], stage, ring)
    }
    return SubmittedCall(sequence: sequence, requests: resets + requests, isReset: isReset)
  }

  private struct Pass: Sendable {
    let sequence: Int
    let step: Step
    let request: UInt32
  }

  /// Computes the first pass, and queues for the next.
  private static func feed(_ passes: ArraySlice<Pass>, _ stage: Stage, _ ring: RingClient) {
    guard let pass = passes.first else { return }
    enqueue(on: stage, ring) {
      let onward = try stage.run(
        pass.step.ids, request: pass.request, sequence: pass.sequence,
        firstPosition: pass.step.firstPosition, output: pass.step.output
      ) { _ in throw PendingResult.unexpected }
      if let onward { try ring.send(onward.frame) }
      feed(passes.dropFirst(), stage, ring)
    }
  }

  /// Does a job on the stage's thread as long as the ring stands; a job that fails ends the ring.
  private static func enqueue(
    on stage: Stage, _ ring: RingClient, _ job: @escaping @Sendable () throws -> Void
  ) {
    stage.thread.enqueue {
      guard !ring.hasFailed else { return }
      do {
        try job()
      } catch {
        ring.fail(
          error as? RuntimeFault
            ?? RuntimeFault("internal", "a pass failed: \(error)", exitStatus: .bug))
      }
    }
  }
}
