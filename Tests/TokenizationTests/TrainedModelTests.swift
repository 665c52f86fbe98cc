import TensorCore
import TestSupport
import Testing
import Tokenization

/// The tokenizer of the model in `fixtures/`, and those of the larger reference set: the ids of
/// the evaluation text are those the model was evaluated on.
@Suite struct TrainedModelTests {
  /// The I32 tensor `ids`, the only one of its file.
  private func evaluationIDs(_ directory: String) throws -> [Int32] {
    let bytes = try InputFile.contents(of: "\(directory)/eval_ids.safetensors")
    let headerLength = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    let data = bytes[(8 + headerLength)...]
    return stride(from: data.startIndex, to: data.endIndex, by: 4).map { offset in
      (0..<4).reduce(Int32(0)) { $0 | Int32(bytes[offset + $1]) << Int32(8 * $1) }
    }
  }

  @Test func tinyFablesEvaluationIDs() throws {
    let directory = Places.fixture("tiny-fable")
    let tokenizer = try Tokenizer.load(directory: directory)
    let text = String(
      decoding: try InputFile.contents(of: "\(directory)/eval.txt"), as: UTF8.self)
    var ids: [Int32] = []
    for line in text.split(separator: "\n") {
      ids += tokenizer.encode(String(line), addSpecialTokens: false) + [2]
    }
    #expect(ids == (try evaluationIDs(directory)))
    #expect(tokenizer.beginningOfSequence == 1)
    #expect(tokenizer.endOfSequence == [2])
    #expect(tokenizer.encode("a", addSpecialTokens: true).first == 1)
    let lines = text.split(separator: "\n").joined()
    #expect(try tokenizer.decode(ids, skipSpecialTokens: true) == lines)
  }

  @Test(arguments: Places.referenceDirectories("trained"))
  func trainedModelsEvaluationIDs(_ directory: String) throws {
    guard Directory.isFile("\(directory)/tokenizer.model") else { return }
    let text = String(
      decoding: try InputFile.contents(of: "\(directory)/eval.txt"), as: UTF8.self)
    let expected = try evaluationIDs(directory)
    for name in ["tokenizer.json", "tokenizer.model"] {
      let tokenizer = try Tokenizer.load(
        files: [name: try InputFile.contents(of: "\(directory)/\(name)")])
      #expect(tokenizer.encode(text, addSpecialTokens: false) == expected, "\(directory) \(name)")
    }
  }
}
