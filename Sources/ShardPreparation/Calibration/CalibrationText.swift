import ModelArchitectures
import ShardPackaging
import TensorCore

/// A text that a model is run over while it is quantized, so that weights which matter for what the
/// model computes lose least.
public struct CalibrationText: Sendable {
  /// What statistics are taken of.
  let training: TokenPieces
  /// What decides between ways of rounding: every eighth piece.
  let heldOut: TokenPieces

  /// Places of a piece, unless the model has fewer.
  private static let context = 256

  /// Throws: `PreparationFault` for a text that is too short, or ids that the model does not know.
  public init(_ ids: [Int32], bos: Int32, dimensions: ModelDimensions) throws(PreparationFault) {
    let context = min(Self.context, dimensions.contextLength)
    let all = try TokenPieces(
      ids, bos: bos, context: context, vocabulary: dimensions.vocabularySize)
    guard ids.count >= 2 * context, all.pieces.count >= 2 else {
      throw PreparationFault(
        "shortCalibration",
        "the calibration text has \(ids.count) tokens; give one of at least \(2 * context), better "
          + "several thousand")
    }
    let places = all.pieces.indices
    training = all.part(places.filter { $0 % 8 != 1 })
    heldOut = all.part(places.filter { $0 % 8 == 1 })
  }

  /// Stands for everything that results depend on.
  var fingerprint: String {
    let text = (training.pieces + heldOut.pieces)
      .map { $0.inputs.map(String.init).joined(separator: " ") }.joined(separator: "\n")
    return Digest(of: Array("\(training.context)\n\(text)".utf8)).hexadecimal
  }
}
