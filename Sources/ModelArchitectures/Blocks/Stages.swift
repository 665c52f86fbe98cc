import TensorCore
import TensorKernels

/// Looks token ids up in the embedding.
struct TokenEmbedding: EmbeddingStage {
  /// [vocabulary, hidden].
  let tokens: PackedMatrix
  /// Learned positions [positions, hidden], added to the tokens (GPT-2).
  var positions: PackedMatrix?
  /// What each embedding is multiplied with (Gemma: √hidden).
  var scale: Float = 1

  func embed(_ ids: [Int32], firstPosition: Int, pass: ForwardPass, into hidden: Matrix) {
    pass.compute.gatherRows(tokens, ids, into: hidden)
    if scale != 1 { pass.compute.scale(hidden, by: scale, rows: ids.count) }
    if let positions {
      let places = ids.indices.map { Int32(firstPosition + $0) }
      pass.compute.gatherRows(positions, places, into: pass.workspace.projected)
      pass.compute.add(pass.workspace.projected, to: hidden, rows: ids.count)
    }
  }
}

/// The final norm and the projection onto the vocabulary.
struct LanguageModelHead: HeadStage {
  let norm: Normalization
  let projection: Linear
  /// c·tanh(x/c) on the logits (Gemma 2).
  var softcap: Float?

  func logits(_ hidden: Matrix, pass: ForwardPass, into logits: Matrix) {
    let work = pass.workspace
    norm(hidden, pass, into: work.normed)
    let input = LinearInput(work.normed, codes: work.hiddenCodes, for: [projection], pass)
    projection(input, pass, into: logits)
    if let softcap { pass.compute.softcap(logits, cap: softcap, rows: pass.rows) }
  }
}
