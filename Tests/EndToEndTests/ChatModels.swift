import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Checkpoints with chat templates, taken the whole way by the programs.
final class ChatModels: Sendable {
  static let shared = Result { try ChatModels() }

  /// Asks tiny-fable, which only tells fables, for one about somebody.
  static let template =
    "{{ bos_token }}{% for m in messages %}"
    + "{% if m.role == 'user' %}Once upon a time there was {{ m.content }}."
    + "{% elif m.role == 'assistant' %}{{ m.content }}{{ eos_token }}"
    + "{% else %}{{ m.content }}\n{% endif %}{% endfor %}"

  /// What the template makes of a chat that ends with a question.
  static func prompt(system: String = "", _ turns: [(String, String)], _ last: String) -> String {
    func question(_ text: String) -> String { "Once upon a time there was \(text)." }
    return "<s>" + (system.isEmpty ? "" : system + "\n")
      + turns.map { question($0) + $1 + "</s>" }.joined() + question(last)
  }

  let directory: TemporaryDirectory
  /// On one node, and on three.
  let bundles: [String]

  private init() throws {
    directory = try TemporaryDirectory()
    let source = directory.appending("checkpoint")
    try FileManager.default.copyItem(atPath: PreparedModels.source, toPath: source)
    try Self.setTemplate(.string(Self.template), in: source)
    bundles = try [1, 3].map { [directory] in
      try Self.pack(source, nodes: $0, to: directory.appending("bundle-\($0)"))
    }
  }

  /// Writes `chat_template` into tokenizer_config.json.
  static func setTemplate(_ template: JSONValue, in checkpoint: String) throws {
    let path = "\(checkpoint)/tokenizer_config.json"
    var settings = try #require(
      try JSONParsing().parse(try InputFile.contents(of: path)).object)
    settings["chat_template"] = template
    try Directory.writeAtomically(
      Array(JSONValue.object(settings).serialized(.pretty).utf8), to: path)
  }

  /// Quantizes, plans and packs a checkpoint.
  static func pack(
    _ checkpoint: String, nodes: Int, to bundle: String, planning: [String] = []
  ) throws -> String {
    let quantized = bundle + ".quantized"
    let plan = bundle + ".plan.json"
    for arguments in [
      ["quantize", checkpoint, "--output", quantized],
      ["plan", quantized, "--nodes", "\(nodes)", "--ram", "8G", "--output", plan] + planning,
      ["pack", quantized, "--plan", plan, "--output", bundle],
    ] {
      let run = try ProgramRun.run("shardtool", arguments + ["--quiet"])
      try #require(run.status == 0, "shardtool \(arguments): \(run.errors)")
    }
    return bundle
  }
}

/// The objects of a chat's lines.
func answers(_ output: String) throws -> [JSONValue] {
  try output.split(separator: "\n").map { try JSONParsing().parse(Array($0.utf8)) }
}
