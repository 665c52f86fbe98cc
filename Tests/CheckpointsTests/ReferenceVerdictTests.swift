import Checkpoints
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// The verdicts of the larger reference set, where this machine has it.
@Suite struct ReferenceVerdictTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let path: String
    let isAccepted: Bool
    var testDescription: String { name }
  }

  static let formatCases: [Case] = cases(level: "format")

  static func cases(level: String) -> [Case] {
    guard let root = Places.referenceSet,
      let bytes = try? InputFile.contents(of: root + "/malformed/expected.json"),
      let expected = try? JSONParsing().parse(bytes)
    else { return [] }
    return (expected["cases"]?.array ?? []).compactMap { item in
      guard item["level"]?.string == level, let name = item["name"]?.string else { return nil }
      return Case(
        name: name, path: "\(root)/malformed/\(name)", isAccepted: item["expect"] == "accept")
    }
  }

  @Test(.enabled(if: !formatCases.isEmpty, "needs the reference set"), arguments: formatCases)
  func formatVerdict(item: Case) throws {
    let path = item.path + "/model.safetensors"
    if item.isAccepted {
      #expect(throws: Never.self) { try SafetensorsFile(path: path) }
    } else {
      let fault = try #require(throws: CheckpointFault.self) { try SafetensorsFile(path: path) }
      #expect(fault.message.contains(path))
    }
  }

  /// Every checkpoint of the set opens, and its weights are finite where they should be.
  @Test(.enabled(if: Places.referenceSet != nil, "needs the reference set"))
  func soundModelsOpen() throws {
    let directories =
      Places.referenceDirectories("models") + Places.referenceDirectories("trained")
    var tensorCount = 0
    for directory in directories {
      let checkpoint = try Checkpoint(directory: directory)
      for name in checkpoint.tensorNames {
        guard let entry = checkpoint.entry(name),
          [DataType.f16, .bf16, .f32].contains(entry.dataType)
        else { continue }
        var values = [Float](repeating: 0, count: entry.elementCount)
        var span = values.mutableSpan
        let rows = entry.shape.count > 1 ? entry.shape[0] : 1
        try checkpoint.readFloats(name, rows: 0..<rows, into: &span)
        tensorCount += 1
      }
    }
    print("reference set: \(directories.count) checkpoints, \(tensorCount) tensors read")
    #expect(tensorCount > 0)
  }
}
