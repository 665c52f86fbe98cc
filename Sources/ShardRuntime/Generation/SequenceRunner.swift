import TensorCore

/// Whatever runs the ids of one sequence through all layers of a model, wherever they are.
///
/// Generation, scoring and measuring are written against it.
public protocol SequenceRunner: AnyObject {
  /// Forgets the sequence so far.
  func reset() throws

  /// Runs ids at consecutive positions and returns what `output` asks for.
  func run(_ ids: [Int32], firstPosition: Int, output: StepOutput) throws -> StepResult
}

extension InferencePipeline: SequenceRunner {}

/// What a model and its plan allow one sequence.
public struct SequenceLimits: Sendable, Equatable {
  /// Positions that the key-value caches hold.
  public let context: Int
  public let vocabularySize: Int

  public init(context: Int, vocabularySize: Int) {
    self.context = context
    self.vocabularySize = vocabularySize
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
