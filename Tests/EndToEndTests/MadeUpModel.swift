import TensorCore
import TestSupport
import Testing

/// A Llama of random weights in a shape of one's own, made and quantized by the programs.
struct MadeUpModel {
  var hiddenSize: Int
  var intermediateSize: Int
  var layers: Int
  var heads: Int
  var keyValueHeads: Int
  var vocabularySize: Int
  var context: Int

  private var configuration: String {
    """
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": \(hiddenSize),
    "intermediate_size": \(intermediateSize), "num_hidden_layers": \(layers),
    "num_attention_heads": \(heads), "num_key_value_heads": \(keyValueHeads),
    "vocab_size": \(vocabularySize), "max_position_embeddings": \(context),
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": false, "torch_dtype": "float16"}
    """
  }

  /// Makes the model and returns the directory of the quantized one; only that one is kept.
  func quantized(in directory: TemporaryDirectory, bits: Int) throws -> String {
    let file = directory.appending("made-up.json")
    try Directory.writeAtomically(Array(configuration.utf8), to: file)
    let model = directory.appending("made-up")
    let run = try ProgramRun.run(
      "shardbench", ["synth", "--config", file, "--output", model, "--quiet"])
    try #require(run.status == 0, "\(run.errors)")
    let quantized = model + "-\(bits)"
    try shardtool(["quantize", model, "--bits", "\(bits)", "--output", quantized])
    try Directory.remove(model)
    return quantized
  }
}
