import TensorCore

/// Whatever runs the ids of one sequence through all layers of a model, wherever they are.
///
/// Generation, scoring and measuring are written against it.
public protocol SequenceRunner: AnyObject {
  /// Forgets the sequence so far.
  func reset() throws

  /// Forgets the sequence but for its first positions, or all of it where its caches do not hold
  /// those any more.
  ///
  /// - Returns: how many positions are kept: `count` or 0.
  func rewind(to count: Int) throws -> Int

  /// Runs ids at consecutive positions and returns what `output` asks for.
  func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult

  /// What waiting for lost nodes, and computing again what they held, has taken so far.
  var timeLost: Duration { get }
}

extension SequenceRunner {
  public var timeLost: Duration { .zero }
}

extension InferencePipeline: SequenceRunner {}

/// What a model and its plan allow one sequence.
public struct SequenceLimits: Sendable, Equatable {
  /// Positions that the key-value caches hold.
  public let context: Int
  public let vocabularySize: Int
  /// Positions that the model has at most, however it is planned; nil where that is not known.
  public let modelContext: Int?

  public init(context: Int, vocabularySize: Int, modelContext: Int? = nil) {
    self.context = context
    self.vocabularySize = vocabularySize
    self.modelContext = modelContext
  }

  /// Checks that so many positions fit.
  ///
  /// Throws: `GenerationFault` with what would help where they do not.
  public func check(positions: Int) throws(GenerationFault) {
    guard positions <= context else { throw .tooLong(tokens: positions, limits: self) }
  }

  /// Checks that ids can be run.
  ///
  /// Throws: `GenerationFault` where there is none, or one lies outside the vocabulary.
  public func check(_ ids: [Int32]) throws(GenerationFault) {
    guard !ids.isEmpty else { throw .noTokens }
    for (index, id) in ids.enumerated() where id < 0 || Int(id) >= vocabularySize {
      throw .outsideVocabulary(id: id, index: index, size: vocabularySize)
    }
  }
}
