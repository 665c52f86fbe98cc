import StrictJSON
import TensorCore

/// The parts of a model in several GGUF files: NAME-00001-of-00003.gguf and so on.
struct GGUFSplit {
  let path: String
  let count: Int
  /// The name before `-00001-of-00003.gguf`.
  private let stem: String
  /// What the first part says all have together.
  private let tensorCount: Int?

  private static let countKey = "split.count"
  private static let numberKey = "split.no"
  private static let tensorsKey = "split.tensors.count"
  private static let maximumCount = 1000

  /// Nil for a file that is whole.
  init?(_ header: GGUFHeader, path: String) throws {
    guard let value = header.values[Self.countKey] else { return nil }
    func fault(_ message: String) -> CheckpointFault {
      CheckpointFault("gguf.split", "\(path): \(message)", file: path)
    }
    guard let count = value.int, (0...Self.maximumCount).contains(count) else {
      throw fault(
        "\(Self.countKey) is \(value.int.map { "\($0)" } ?? value.kindName); expected 1 to "
          + "\(Self.maximumCount) parts; download the file again")
    }
    guard count > 1 else { return nil }
    guard header.values[Self.numberKey]?.int == 0 else {
      let number = header.values[Self.numberKey]?.int.map { "part \($0 + 1)" } ?? "no number"
      throw fault(
        "it says it is \(number) of \(count); give the first part, with all others beside")
    }
    self.path = path
    self.count = count
    tensorCount = header.values[Self.tensorsKey]?.int
    let name = Directory.name(of: path)
    let ending = Self.ending(part: 0, of: count)
    guard name.hasSuffix(ending) else {
      throw fault("it is the first of \(count) parts; its name has to end in \(ending)")
    }
    stem = Directory.parent(of: path) + "/" + name.dropLast(ending.count)
  }

  private static func ending(part: Int, of count: Int) -> String {
    func digits(_ number: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
    return "-\(digits(part + 1))-of-\(digits(count)).gguf"
  }

  func open(part: Int) throws -> InputFile {
    let file = stem + Self.ending(part: part, of: count)
    guard Directory.isFile(file) else {
      throw CheckpointFault(
        "gguf.missingPart", "\(path) has \(count) parts, and \(file) is not there; download it",
        file: file, exitStatus: .noInput)
    }
    return try InputFile(path: file)
  }

  func check(_ header: GGUFHeader, part: Int, path: String) throws(CheckpointFault) {
    let number = header.values[Self.numberKey]?.int
    let count = header.values[Self.countKey]?.int
    guard number == part, count == self.count else {
      throw CheckpointFault(
        "gguf.split",
        "\(path) says it is part \(number.map { "\($0 + 1)" } ?? "none") of "
          + "\(count.map { "\($0)" } ?? "none"); expected \(part + 1) of \(self.count): download "
          + "all parts again", file: path)
    }
  }

  func check(tensorCount found: Int) throws(CheckpointFault) {
    guard let tensorCount, tensorCount != found else { return }
    throw CheckpointFault(
      "gguf.split",
      "\(path) says that its parts hold \(tensorCount) tensors, and they hold \(found); download "
        + "all parts again", file: path)
  }
}
