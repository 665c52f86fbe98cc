import ShardTransport
import TensorCore

/// One node's part of a model, ready to compute: its description and an executor for each
/// sequence that it can hold at once.
///
/// The same passes run where ids come from a prompt and where hidden states come from a link.
///
// SAFETY: executors, `hidden` and `positions` are only used by one thread at a time: jobs of
// `thread`, or the coordinator's caller while `thread` has nothing to do.
public final class Stage: @unchecked Sendable {
  public let description: StageDescription
  let meter: StageMeter
  /// Where passes run that others wait for.
  let thread = DedicatedThread()
  private let executors: [any StageExecutor]
  private let ledgerBytes: Int?
  private let hidden: Matrix
  /// How many positions each sequence holds.
  private var positions: [Int]
  /// How many each has stored since it was last forgotten.
  private var written: [Int]

  /// Precondition: there is at least one executor.
  ///
  /// - Parameter ledgerBytes: most bytes that the process may take, for reports.
  public init(
    _ description: StageDescription, executors: [any StageExecutor], ledgerBytes: Int? = nil
  ) {
    precondition(!executors.isEmpty, "a stage needs an executor")
    self.description = description
    self.executors = executors
    self.ledgerBytes = ledgerBytes
    meter = StageMeter(ledgerBytes: ledgerBytes)
    hidden = Matrix(rows: description.prefillChunk, columns: description.hiddenSize)
    positions = [Int](repeating: 0, count: executors.count)
    written = positions
  }

  /// Sequences that it can hold at once.
  public var sequences: Int { executors.count }

  /// Counts the passes of one run.
  func makeMeter() -> StageMeter { StageMeter(ledgerBytes: ledgerBytes) }

  /// Receives what a pass has to say to the coordinator.
  typealias Emit = (ResultMessage.Part) throws -> Void

  /// Forgets a sequence.
  func reset(sequence: Int) throws(RuntimeFault) {
    guard executors.indices.contains(sequence) else {
      throw unknownSequence(sequence, room: executors.count)
    }
    executors[sequence].reset()
    positions[sequence] = 0
    written[sequence] = 0
  }

  /// Whether a sequence that has stored so many positions can go on at an earlier one.
  func canRewind(to position: Int, written: Int) -> Bool {
    executors[0].rewinding.allows(position, written: written)
  }

  /// Forgets a sequence from a position on.
  func rewind(sequence: Int, to position: Int) throws(RuntimeFault) {
    guard executors.indices.contains(sequence) else {
      throw unknownSequence(sequence, room: executors.count)
    }
    guard position > 0 else { return try reset(sequence: sequence) }
    guard position <= positions[sequence],
      canRewind(to: position, written: written[sequence])
    else {
      throw RuntimeFault(
        "cannotRewind",
        "\(description.node) holds \(positions[sequence]) positions of the sequence and cannot go "
          + "back to position \(position); reset the sequence first", exitStatus: .bug)
    }
    positions[sequence] = position
  }

  /// Forgets all sequences.
  func resetAll() { reset(Array(executors.indices)) }

  /// Forgets some sequences.
  ///
  /// Precondition: it has them.
  func reset(_ sequences: [Int]) {
    for index in sequences {
      executors[index].reset()
      positions[index] = 0
      written[index] = 0
    }
  }

  /// Runs ids through this node's layers.
  ///
  /// - Returns: what goes to the next node; nil where this one has the head, and has emitted the
  ///   results.
  func run(
    _ ids: [Int32], request: UInt32, sequence: Int, firstPosition: Int, output: StepOutput,
    emit: Emit
  ) throws -> StepMessage? {
    let plan = Pass(
      request: request, sequence: sequence, place: sequence, layersDone: 0,
      firstPosition: firstPosition, rows: ids.count, output: output)
    try check(plan)
    for id in ids where id < 0 || Int(id) >= description.vocabularySize {
      throw RuntimeFault.tokenOutsideVocabulary(id, description.vocabularySize)
    }
    let start = Monotonic.now()
    executors[sequence].embed(ids, firstPosition: firstPosition, into: hidden)
    return try compute(plan, since: start, emit)
  }

  /// Runs the hidden states of another node through this node's layers.
  ///
  /// - Parameters:
  ///   - place: which of this stage's sequences the message's number means.
  ///   - meter: counts the pass beside the stage's own.
  func run(
    _ message: StepMessage, in place: Int, meter: StageMeter, emit: Emit
  ) throws -> StepMessage? {
    let plan = Pass(
      request: message.request, sequence: message.sequence, place: place,
      layersDone: message.layersDone, firstPosition: message.firstPosition, rows: message.rows,
      output: message.output, meter: meter)
    try check(plan)
    let expected =
      message.rows * description.hiddenFormat.byteCount(columns: description.hiddenSize)
    guard message.format == description.hiddenFormat, message.hiddenByteCount == expected else {
      throw PayloadReader.malformed(
        "\(message.hiddenByteCount) bytes of \(message.format) hidden states where \(expected) of "
          + "\(description.hiddenFormat) are due")
    }
    let start = Monotonic.now()
    message.copyHidden(into: hidden)
    return try compute(plan, since: start, emit)
  }

  private struct Pass {
    let request: UInt32
    /// In the count of the run.
    let sequence: Int
    /// The same in the stage's.
    let place: Int
    let layersDone: Int
    let firstPosition: Int
    let rows: Int
    let output: StepOutput
    var meter: StageMeter?
  }

  private func compute(_ pass: Pass, since start: Duration, _ emit: Emit) throws -> StepMessage? {
    executors[pass.place].forward(hidden, rows: pass.rows, firstPosition: pass.firstPosition)
    positions[pass.place] += pass.rows
    written[pass.place] = max(written[pass.place], positions[pass.place])
    defer {
      let time = Monotonic.now() - start
      meter.record(rows: pass.rows, time: time)
      pass.meter?.record(rows: pass.rows, time: time)
    }
    guard description.holdsHead else {
      return StepMessage(
        request: pass.request, sequence: pass.sequence, layersDone: description.layers.upperBound,
        firstPosition: pass.firstPosition, rows: pass.rows, output: pass.output, hidden: hidden,
        format: description.hiddenFormat)
    }
    try answer(pass, emit)
    return nil
  }

  // MARK: The head

  private func answer(_ pass: Pass, _ emit: Emit) throws {
    let executor = executors[pass.place]
    switch pass.output {
    case .nothing:
      try emit(.done)
    case .sample(let parameters, let step):
      let logits = executor.logits(hidden, rows: pass.rows - 1..<pass.rows)
      let token = logits.withRow(0) { Sampler.sample($0, parameters, step: step) }
      try emit(.token(token))
    case .logits:
      try forEachBatch(executor, rows: pass.rows) { logits, rows in
        for row in rows { try emitLogits(logits, row - rows.lowerBound, of: row, emit) }
      }
    case .negativeLogLikelihood(let targets):
      var values: [Double] = []
      values.reserveCapacity(targets.count)
      try forEachBatch(executor, rows: pass.rows) { logits, rows in
        for row in rows {
          let index = row - rows.lowerBound
          let logit = logits.withRow(index) { $0[Int(targets[row])] }
          values.append(executor.logSumExp(logits, row: index) - Double(logit))
        }
      }
      try emit(.negativeLogLikelihood(values))
    }
  }

  private func forEachBatch(
    _ executor: any StageExecutor, rows: Int, _ body: (Matrix, Range<Int>) throws -> Void
  ) throws {
    let batch = max(1, executor.logitsCapacity)
    for first in stride(from: 0, to: rows, by: batch) {
      let range = first..<min(rows, first + batch)
      try body(executor.logits(hidden, rows: range), range)
    }
  }

  /// Emits one row in parts that fit a frame.
  private func emitLogits(_ logits: Matrix, _ index: Int, of row: Int, _ emit: Emit) throws {
    let count = description.vocabularySize
    let values = logits.row(index)
    for first in stride(from: 0, to: count, by: ResultMessage.mostLogits) {
      let part = Array(values[first..<min(count, first + ResultMessage.mostLogits)])
      try emit(.logits(part, firstElement: row * count + first))
    }
  }

  // MARK: Checks

  private func check(_ pass: Pass) throws(RuntimeFault) {
    guard executors.indices.contains(pass.place) else {
      throw unknownSequence(pass.place, room: executors.count)
    }
    guard pass.layersDone == description.layers.lowerBound else {
      throw RuntimeFault(
        "layerOrder",
        "\(description.node) got hidden states behind layer \(pass.layersDone) but continues from "
          + "layer \(description.layers.lowerBound)", exitStatus: .bug)
    }
    guard (1...description.prefillChunk).contains(pass.rows) else {
      throw RuntimeFault(
        "chunkSize",
        "\(description.node) got \(pass.rows) rows where 1 to \(description.prefillChunk) fit",
        exitStatus: .bug)
    }
    guard pass.firstPosition == positions[pass.place] else {
      throw RuntimeFault(
        "positionMismatch",
        "\(description.node) holds \(positions[pass.place]) positions of the sequence but was "
          + "to go on at position \(pass.firstPosition); reset the sequence first",
        exitStatus: .bug)
    }
    guard pass.rows <= description.context - pass.firstPosition else {
      throw .contextExceeded(pass.firstPosition + pass.rows, description.context)
    }
    if case .negativeLogLikelihood(let targets) = pass.output {
      let vocabulary = 0..<description.vocabularySize
      guard targets.count == pass.rows, targets.allSatisfy({ vocabulary.contains(Int($0)) }) else {
        throw RuntimeFault(
          "targets", "scoring needs one target inside the vocabulary for each token",
          exitStatus: .badData)
      }
    }
  }

  func unknownSequence(_ sequence: Int, room: Int) -> RuntimeFault {
    RuntimeFault(
      "unknownSequence",
      "\(description.node) has room for \(room) sequences, not for number \(sequence)",
      exitStatus: .bug)
  }
}

extension RuntimeFault {
  static func tokenOutsideVocabulary(_ id: Int32, _ size: Int) -> RuntimeFault {
    RuntimeFault(
      "tokenOutsideVocabulary",
      "token \(id) is outside the model's vocabulary of \(size) (ids 0 to \(size - 1))",
      exitStatus: .badData, context: ["token": "\(id)"])
  }

  static func contextExceeded(_ positions: Int, _ context: Int) -> RuntimeFault {
    RuntimeFault(
      "contextExceeded",
      "\(positions) tokens do not fit the \(context) positions that this bundle was planned for; "
        + "shorten the text", exitStatus: .doesNotFit)
  }
}
