import TensorCore
import TensorKernels

/// Causal multi-head attention with grouped key-value heads over a cache.
///
/// Source: Vaswani et al. 2017, section 3.2; grouped heads: Ainslie et al. 2023.
struct SelfAttention: Sendable {
  let query: Linear
  let key: Linear
  let value: Linear
  let output: Linear
  let shape: AttentionShape
  /// Rotary positions; nil where positions are learned.
  let rotary: RotaryTable?
  /// Norms over the channels of each head of queries and keys, before the rotation.
  var headNorms: HeadNorms?

  /// Shapes: `input` [T, hidden] → `result` [T, hidden].
  func callAsFunction(
    _ input: Matrix, _ pass: ForwardPass, cache: KeyValueCache, into result: Matrix
  ) {
    let work = pass.workspace
    let compute = pass.compute
    let projectionInput = LinearInput(
      input, codes: work.hiddenCodes, for: [query, key, value], pass)
    query(projectionInput, pass, into: work.queries)
    key(projectionInput, pass, into: work.keys)
    value(projectionInput, pass, into: work.values)
    headNorms?(queries: work.queries, keys: work.keys, shape: shape, pass)
    if let rotary {
      compute.rotate(
        work.queries, heads: shape.heads, headDimension: shape.headDimension, table: rotary,
        firstPosition: pass.firstPosition, rows: pass.rows)
      compute.rotate(
        work.keys, heads: shape.keyValueHeads, headDimension: shape.headDimension, table: rotary,
        firstPosition: pass.firstPosition, rows: pass.rows)
    }
    cache.store(
      keys: work.keys, values: work.values, firstPosition: pass.firstPosition, rows: pass.rows)
    compute.attention(
      work.queries, cache: cache, shape: shape, firstPosition: pass.firstPosition,
      rows: pass.rows, scratch: work.attention, into: work.attended)
    let outputInput = LinearInput(work.attended, codes: work.attendedCodes, for: [output], pass)
    output(outputInput, pass, into: result)
  }
}

/// Norms over the channels of each head.
enum HeadNorms: Sendable {
  /// One weight [head dimension] for all heads (Qwen3, Gemma 3).
  case rootMeanSquare(query: Matrix, key: Matrix, epsilon: Float, weightOffset: Float)
  /// Weights [heads, head dimension] of each head's own (StableLM).
  case layer(query: Matrix, key: Matrix, epsilon: Float)

  func callAsFunction(
    queries: Matrix, keys: Matrix, shape: AttentionShape, _ pass: ForwardPass
  ) {
    let compute = pass.compute
    let dimension = shape.headDimension
    switch self {
    case .rootMeanSquare(let query, let key, let epsilon, let offset):
      compute.headRMSNorm(
        queries, heads: shape.heads, headDimension: dimension, weight: query, epsilon: epsilon,
        weightOffset: offset, rows: pass.rows)
      compute.headRMSNorm(
        keys, heads: shape.keyValueHeads, headDimension: dimension, weight: key,
        epsilon: epsilon, weightOffset: offset, rows: pass.rows)
    case .layer(let query, let key, let epsilon):
      compute.headLayerNorm(
        queries, heads: shape.heads, headDimension: dimension, weight: query, bias: nil,
        epsilon: epsilon, rows: pass.rows)
      compute.headLayerNorm(
        keys, heads: shape.keyValueHeads, headDimension: dimension, weight: key, bias: nil,
        epsilon: epsilon, rows: pass.rows)
    }
  }
}
