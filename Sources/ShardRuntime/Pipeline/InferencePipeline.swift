import ShardTransport

/// The coordinator's side of a ring of nodes: it embeds ids, runs its own layers and sends the
/// rest of the way.
///
/// Calls block, and come from one thread. After an error that names a lost node the pipeline is of
/// no more use; a new one can be made when the node is back.
public final class InferencePipeline {
  public struct Options: Sendable {
    /// Rows of a prefill pass; nil takes the plan's, which is also the most.
    public var prefillChunk: Int?
    /// How long peers that do not yet answer are asked again.
    public var connectPatience: Duration = .milliseconds(2500)
    /// Other addresses that serve the same part, by the name of the node: tried in order where
    /// its own does not answer.
    public var spares: [String: [HostPort]] = [:]
    /// How many sequences to have for itself on each node; nil takes all that were planned, which
    /// is also the most. Other coordinators may have the rest.
    public var sequences: Int?
    public init(prefillChunk: Int? = nil) { self.prefillChunk = prefillChunk }
  }

  /// What the nodes hold of a sequence.
  struct Slot {
    var position = 0
    /// Positions stored since the sequence was last forgotten.
    var written = 0

    mutating func advance(by count: Int) {
      position += count
      written = max(written, position)
    }
  }

  public let description: StageDescription
  let stage: Stage
  let chunk: Int
  let ring: RingClient?
  var slots: [Slot]
  /// Calls of several sequences on their way, in the order in which they were submitted.
  var calls: [SubmittedCall] = []
  private var failure: RuntimeFault?
  private var isShutDown = false

  /// Connects to the peers, compares notes and sends a probe token round; without peers the node
  /// must hold the whole model.
  ///
  /// - Parameter transport: stays the caller's; nil makes a TCP transport of the pipeline's own.
  /// Throws: `RuntimeFault` naming the node that is missing, does not answer or does not fit.
  public init(
    stage: Stage, peers: [(name: String, address: HostPort)] = [], options: Options = Options(),
    transport: (any Transport)? = nil
  ) throws {
    self.stage = stage
    description = stage.description
    slots = [Slot](
      repeating: Slot(), count: max(1, min(options.sequences ?? .max, stage.sequences)))
    chunk = max(1, min(options.prefillChunk ?? .max, stage.description.prefillChunk))
    if peers.isEmpty, stage.description.nodeNames == [stage.description.node] {
      try RingCoverage.check([stage.description])
      ring = nil
      stage.resetAll()
      return
    }
    ring = try RingClient(
      stage.description, sequences: slots.count, peers: peers, transport: transport,
      options: options)
    do {
      try probe()
    } catch {
      shutdown()
      throw error
    }
  }

  deinit { shutdown() }

  /// Sends one token through all layers of all nodes and back.
  private func probe() throws {
    let reset = Monitor(false)
    stage.thread.enqueue { [stage] in
      stage.resetAll()
      reset.update { $0 = true }
    }
    _ = reset.wait { $0 ? true : nil }
    guard case .token = try run([0], firstPosition: 0, output: .sample(.greedy, step: 0)) else {
      throw PendingResult.unexpected
    }
    try self.reset()
  }

  /// Forgets the sequence on every node.
  public func reset() throws {
    try rememberingFailure {
      try stage.reset(sequence: 0)
      slots[0] = Slot()
      try order { ResetMessage(request: $0, sequence: 0).frame }
    }
  }

  public func rewind(to count: Int) throws -> Int {
    let slot = slots[0]
    guard count > 0, count <= slot.position, stage.canRewind(to: count, written: slot.written)
    else {
      try reset()
      return 0
    }
    guard count < slot.position else { return count }
    try rememberingFailure {
      try stage.rewind(sequence: 0, to: count)
      slots[0].position = count
      try order { RewindMessage(request: $0, sequence: 0, position: count).frame }
    }
    return count
  }

  /// Sends an order through the ring and waits until the last node has followed it.
  private func order(_ frame: (UInt32) -> Frame) throws {
    guard let ring else { return }
    let requests = ring.request([(.nothing, 0)])
    try ring.send(frame(requests[0]))
    _ = try ring.results(of: requests)
  }

  /// Runs ids at consecutive positions through all nodes.
  ///
  /// - Parameter firstPosition: the position of `ids[0]`: how many ids ran since the last reset.
  /// - Returns: what `output` asks for, of the last id or of all.
  /// Throws: `RuntimeFault`; one of exit status 69 names the node that was lost.
  public func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult {
    try check(ids, firstPosition, output, slots[0])
    return try rememberingFailure {
      let steps = plan(ids, firstPosition: firstPosition, output: output)
      let results = try ring.map { try run(steps, through: $0) } ?? runHere(steps)
      slots[0].advance(by: ids.count)
      return StepResult(joining: results)
    }
  }

  /// Times and memory of every node, in ring order.
  ///
  /// - Parameter restart: whether the nodes begin to count anew.
  public func statistics(restart: Bool = false) throws -> [NodeStatistics] {
    try rememberingFailure {
      [stage.meter.statistics(of: description, restart: restart)]
        + (try ring?.statistics(restart: restart) ?? [])
    }
  }

  /// Says goodbye to the nodes, which then serve the next coordinator.
  public func shutdown() {
    guard !isShutDown else { return }
    isShutDown = true
    ring?.shutdown()
  }

  // MARK: Steps

  struct Step: Sendable {
    let ids: [Int32]
    let firstPosition: Int
    let output: StepOutput
  }

  /// Cuts a call into passes; all but the last of a sampling call want nothing.
  func plan(_ ids: [Int32], firstPosition: Int, output: StepOutput) -> [Step] {
    stride(from: 0, to: ids.count, by: chunk).map { first in
      let range = first..<min(ids.count, first + chunk)
      let wanted: StepOutput =
        switch output {
        case .nothing, .logits: output
        case .sample: range.upperBound == ids.count ? output : .nothing
        case .negativeLogLikelihood(let targets):
          .negativeLogLikelihood(targets: Array(targets[range]))
        }
      return Step(
        ids: Array(ids[range]), firstPosition: firstPosition + first, output: wanted)
    }
  }

  func runHere(_ steps: [Step], sequence: Int = 0) throws -> [StepResult] {
    try steps.map { step in
      var pending = PendingResult(
        step.output, rows: step.ids.count, vocabularySize: description.vocabularySize)
      _ = try stage.run(
        step.ids, request: 0, sequence: sequence, firstPosition: step.firstPosition,
        output: step.output
      ) { try pending.take($0) }
      guard let result = pending.result else { throw PendingResult.unexpected }
      return result
    }
  }

  /// Sends chunk after chunk while the other nodes work on those before, then waits for all.
  private func run(_ steps: [Step], through ring: RingClient) throws -> [StepResult] {
    let requests = ring.request(steps.map { ($0.output, $0.ids.count) })
    let send: @Sendable () throws -> Void = { [stage] in
      for (step, request) in zip(steps, requests) where !ring.hasFailed {
        let onward = try stage.run(
          step.ids, request: request, sequence: 0, firstPosition: step.firstPosition,
          output: step.output
        ) { _ in throw PendingResult.unexpected }
        if let onward { try ring.send(onward.frame) }
      }
    }
    if steps.count == 1, steps[0].ids.count == 1 {
      try send()
    } else {
      // On a thread of its own, so that the loss of a node is not noticed only after the pass.
      stage.thread.enqueue {
        do {
          try send()
        } catch {
          ring.fail(
            error as? RuntimeFault
              ?? RuntimeFault("internal", "a pass failed: \(error)", exitStatus: .bug))
        }
      }
    }
    return try ring.results(of: requests)
  }

  // MARK: Checks

  func check(
    _ ids: [Int32], _ firstPosition: Int, _ output: StepOutput, _ slot: Slot
  ) throws {
    if let failure { throw failure }
    guard !ids.isEmpty else {
      throw RuntimeFault("noTokens", "there is no token to run", exitStatus: .usage)
    }
    guard firstPosition == slot.position else {
      throw RuntimeFault(
        "positionMismatch",
        "the sequence holds \(slot.position) positions but was to go on at position "
          + "\(firstPosition); reset it first", exitStatus: .bug)
    }
    guard ids.count <= description.context - firstPosition else {
      throw RuntimeFault.contextExceeded(firstPosition + ids.count, description.context)
    }
    let vocabulary = 0..<description.vocabularySize
    for id in ids where !vocabulary.contains(Int(id)) {
      throw RuntimeFault.tokenOutsideVocabulary(id, description.vocabularySize)
    }
    if case .negativeLogLikelihood(let targets) = output {
      guard targets.count == ids.count else {
        throw RuntimeFault(
          "targets", "\(targets.count) targets were given for \(ids.count) tokens",
          exitStatus: .badData)
      }
      for id in targets where !vocabulary.contains(Int(id)) {
        throw RuntimeFault.tokenOutsideVocabulary(id, description.vocabularySize)
      }
    }
  }

  /// After a failure on the way nodes may hold different positions: the pipeline ends, and the
  /// nodes are free.
  func rememberingFailure<Value>(_ body: () throws -> Value) throws -> Value {
    if let failure { throw failure }
    do {
      return try body()
    } catch {
      failure =
        error as? RuntimeFault
        ?? RuntimeFault("internal", "a pass failed: \(error)", exitStatus: .bug)
      shutdown()
      throw error
    }
  }
}
