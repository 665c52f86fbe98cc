import TensorCore
import TensorKernels

/// x + attention(norm(x)), then x + feedForward(norm(x)): the block of Llama and its kin.
struct SequentialBlock: TransformerBlock {
  let attentionNorm: Normalization
  let attention: SelfAttention
  let feedForwardNorm: Normalization
  let feedForward: any FeedForward

  func forward(_ hidden: Matrix, pass: ForwardPass, cache: KeyValueCache) {
    let work = pass.workspace
    attentionNorm(hidden, pass, into: work.normed)
    attention(work.normed, pass, cache: cache, into: work.projected)
    pass.compute.add(work.projected, to: hidden, rows: pass.rows)
    feedForwardNorm(hidden, pass, into: work.normed)
    feedForward(work.normed, pass, into: work.projected)
    pass.compute.add(work.projected, to: hidden, rows: pass.rows)
  }
}

/// x + attention(norm(x)) + feedForward(norm'(x)): both parts read the block's input.
struct ParallelBlock: TransformerBlock {
  let norm: Normalization
  /// The feed-forward network's own norm; nil where both share one (GPT-J, Phi).
  let feedForwardNorm: Normalization?
  let attention: SelfAttention
  let feedForward: any FeedForward

  func forward(_ hidden: Matrix, pass: ForwardPass, cache: KeyValueCache) {
    let work = pass.workspace
    norm(hidden, pass, into: work.normed)
    attention(work.normed, pass, cache: cache, into: work.projected)
    if let feedForwardNorm { feedForwardNorm(hidden, pass, into: work.normed) }
    feedForward(work.normed, pass, into: work.secondary)
    // The order of the additions is Hugging Face's: (attention + feed-forward) + residual.
    pass.compute.add(work.secondary, to: work.projected, rows: pass.rows)
    pass.compute.add(work.projected, to: hidden, rows: pass.rows)
  }
}

/// Norms before and after both parts (Gemma 2 and 3).
struct SandwichBlock: TransformerBlock {
  let attentionNorm: Normalization
  let attention: SelfAttention
  let afterAttentionNorm: Normalization
  let feedForwardNorm: Normalization
  let feedForward: any FeedForward
  let afterFeedForwardNorm: Normalization

  func forward(_ hidden: Matrix, pass: ForwardPass, cache: KeyValueCache) {
    let work = pass.workspace
    attentionNorm(hidden, pass, into: work.normed)
    attention(work.normed, pass, cache: cache, into: work.projected)
    afterAttentionNorm(work.projected, pass, into: work.normed)
    pass.compute.add(work.normed, to: hidden, rows: pass.rows)
    feedForwardNorm(hidden, pass, into: work.normed)
    feedForward(work.normed, pass, into: work.projected)
    afterFeedForwardNorm(work.projected, pass, into: work.normed)
    pass.compute.add(work.normed, to: hidden, rows: pass.rows)
  }
}
