import Foundation
import TensorCore
import TensorKernels

/// How a text is cut before it is scored.
public enum ScoringPieces: Sendable, Equatable {
  /// One sequence; its first id has nothing before it and is not scored.
  case whole
  /// Consecutive pieces of `context - 1` ids, the last one shorter, each alone behind `bos`;
  /// every id is scored.
  case behindBOS(Int32, context: Int)
}

/// How well a model foresees a text.
public struct Score: Sendable, Equatable {
  /// Ids that were scored.
  public fileprivate(set) var tokens = 0
  /// Sum of -ln p over them.
  public fileprivate(set) var negativeLogLikelihood = 0.0
  /// The same sum for each piece.
  public fileprivate(set) var pieceSums: [Double] = []

  /// exp of the mean of -ln p; nil where nothing was scored.
  public var perplexity: Double? {
    tokens > 0 ? exp(negativeLogLikelihood / Double(tokens)) : nil
  }

  fileprivate mutating func add(_ sum: Double, tokens count: Int) {
    tokens += count
    negativeLogLikelihood += sum
    pieceSums.append(sum)
  }
}

/// Receives rows of logits in order: row i of all belongs to id i of the text.
public typealias LogitsReceiver = (_ rows: [Float], _ firstRow: Int) throws -> Void

/// Runs given ids and says how probable each was.
///
/// Sums run from the first id to the last, so that they depend on no chunk size.
public struct Scorer {
  private let runner: any SequenceRunner
  private let limits: SequenceLimits
  private let compute: ComputeContext

  public init(runner: any SequenceRunner, limits: SequenceLimits, compute: ComputeContext) {
    self.runner = runner
    self.limits = limits
    self.compute = compute
  }

  /// Scores a text.
  ///
  /// - Parameters:
  ///   - logits: receives a row for every id: with `.whole` the logits that follow the id, with
  ///     `.behindBOS` those it was scored from.
  ///   - progress: called with the number of ids done; returns whether to go on.
  /// Throws: `GenerationFault` for ids that cannot be run or where the user gave up.
  public func score(
    _ ids: [Int32], pieces: ScoringPieces = .whole, logits: LogitsReceiver? = nil,
    progress: (Int) -> Bool = { _ in true }
  ) throws -> Score {
    try limits.check(ids)
    var score = Score()
    switch pieces {
    case .whole:
      guard ids.count <= limits.context else {
        throw GenerationFault.tooLong(tokens: ids.count, limits: limits)
      }
      let piece = Piece(inputs: ids, targets: Array(ids.dropFirst()), firstRow: 0)
      score.add(try run(piece, logits, progress), tokens: piece.targets.count)
    case .behindBOS(let bos, let context):
      precondition(context >= 2, "a piece of context \(context) holds no id")
      try limits.check([bos])
      guard context - 1 <= limits.context else {
        throw GenerationFault.tooLong(tokens: context - 1, limits: limits)
      }
      for first in stride(from: 0, to: ids.count, by: context - 1) {
        let targets = Array(ids[first..<min(ids.count, first + context - 1)])
        let piece = Piece(inputs: [bos] + targets.dropLast(), targets: targets, firstRow: first)
        score.add(try run(piece, logits, progress), tokens: targets.count)
      }
    }
    return score
  }

  private struct Piece {
    let inputs: [Int32]
    /// What follows each input; one fewer than inputs where the last has no follower.
    let targets: [Int32]
    let firstRow: Int
  }

  /// Runs one piece as a sequence of its own and returns its sum.
  private func run(
    _ piece: Piece, _ logits: LogitsReceiver?, _ progress: (Int) -> Bool
  ) throws -> Double {
    try runner.reset()
    var sum = 0.0
    let inputs = logits == nil ? Array(piece.inputs.prefix(piece.targets.count)) : piece.inputs
    let step = logits == nil ? max(1, inputs.count) : rowsPerRun
    for first in stride(from: 0, to: inputs.count, by: step) {
      let places = first..<min(inputs.count, first + step)
      let targets = Array(piece.targets[places.clamped(to: 0..<piece.targets.count)])
      let ids = Array(inputs[places])
      if let logits {
        let result = try runner.run(ids, firstPosition: first, output: .logits)
        guard case .logits(let rows) = result, rows.count == ids.count * limits.vocabularySize
        else { throw GenerationFault.unexpectedAnswer }
        sum = addLikelihoods(of: targets, rows, to: sum)
        try logits(rows, piece.firstRow + first)
      } else {
        let result = try runner.run(
          ids, firstPosition: first, output: .negativeLogLikelihood(targets: targets))
        guard case .negativeLogLikelihood(let values) = result, values.count == targets.count
        else { throw GenerationFault.unexpectedAnswer }
        for value in values { sum += value }
      }
      guard progress(piece.firstRow + places.upperBound) else { throw GenerationFault.interrupted }
    }
    return sum
  }

  /// Ids a call: so few that their logits stay below 4 MiB on this node.
  private var rowsPerRun: Int {
    max(1, (4 << 20) / (limits.vocabularySize * MemoryLayout<Float>.size))
  }

  private func addLikelihoods(of targets: [Int32], _ rows: [Float], to start: Double) -> Double {
    var sum = start
    let row = Matrix(rows: 1, columns: limits.vocabularySize)
    for (index, target) in targets.enumerated() {
      let first = index * limits.vocabularySize
      row.withMutableRow(0) { values in
        for column in values.indices { values[column] = rows[first + column] }
      }
      sum += compute.logSumExp(row, row: 0) - Double(rows[first + Int(target)])
    }
    return sum
  }
}
