import Checkpoints
import Quantization
import TensorCore

extension QuantizePlan {
  /// Refuses stored tensors that show that config.json describes another model. Other tensors
  /// that the model does not use are worth a warning only.
  static func refuseContradictions(
    _ checkpoint: Checkpoint, _ files: [File], used: Set<String>
  ) throws {
    for file in files {
      for job in file.jobs { try refuseOtherContent(checkpoint, job.source) }
    }
    for name in checkpoint.tensorNames where !used.contains(name) {
      if let reason = contradiction(name, used: used) {
        let path = checkpoint.path(of: name)
        throw PreparationFault(
          "extraTensor",
          "\(path) holds the tensor \(name), but config.json asks for \(reason); the two do not "
            + "belong together", context: ["file": path, "tensor": name])
      }
    }
  }

  /// Why a tensor that is not used should have been.
  private static func contradiction(_ name: String, used: Set<String>) -> String? {
    if name.hasSuffix(".bias"), used.contains(name.dropLast(4) + "weight") {
      return "no bias there"
    }
    var words = name.split(separator: ".").map(String.init)
    for (place, word) in words.enumerated() where word.allSatisfy(\.isNumber) && word != "0" {
      words[place] = "0"
      if used.contains(words.joined(separator: ".")) { return "fewer of that kind" }
      words[place] = word
    }
    return nil
  }

  /// A tensor that stands under two of its names, such as a head tied to the embedding, has to
  /// be the same twice.
  private static func refuseOtherContent(
    _ checkpoint: Checkpoint, _ source: QuantizeSource
  ) throws {
    let names = source.spec.source.names.filter { $0 != source.entry.name }
    for entry in names.compactMap({ checkpoint.entry($0) }) {
      guard try !isSame(checkpoint, entry, source.entry) else { continue }
      let path = checkpoint.path(of: entry.name)
      throw PreparationFault(
        "differentTwins",
        "tensor \(entry.name) of \(path) differs from \(source.entry.name), and config.json says "
          + "they are one; set tie_word_embeddings to what the model was trained with",
        context: ["file": path, "tensor": entry.name])
    }
  }

  private static let comparedByteCount = 1 << 20

  private static func isSame(
    _ checkpoint: Checkpoint, _ first: TensorEntry, _ second: TensorEntry
  ) throws -> Bool {
    guard first.shape == second.shape, first.dataType == second.dataType else { return false }
    for start in stride(from: 0, to: first.byteCount, by: comparedByteCount) {
      let range = start..<min(first.byteCount, start + comparedByteCount)
      guard try bytes(checkpoint, first.name, range) == bytes(checkpoint, second.name, range)
      else { return false }
    }
    return true
  }

  private static func bytes(
    _ checkpoint: Checkpoint, _ name: String, _ range: Range<Int>
  ) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try checkpoint.readBytes(name, bytes: range, into: &raw)
    return bytes
  }
}
