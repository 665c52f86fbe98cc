import Checkpoints
import StrictJSON
import TensorCore

/// Typed access to the keys of a GGUF file; a key of another kind is an error, never a default.
struct GGUFKeys {
  let file: GGUFFile
  let architecture: String

  init(_ file: GGUFFile) throws(PreparationFault) {
    self.file = file
    guard let architecture = file["general.architecture"]?.string else {
      throw PreparationFault(
        "gguf",
        "\(file.path) does not say of which architecture it is (general.architecture); give a "
          + "model, not an adapter or a vocabulary", context: ["file": file.path])
    }
    self.architecture = architecture
  }

  func fault(_ key: String, _ problem: String) -> PreparationFault {
    PreparationFault(
      "gguf", "\(file.path): \(key) \(problem)", context: ["file": file.path, "key": key])
  }

  /// A key of the architecture, with its name in front.
  private func full(_ key: String) -> String { "\(architecture).\(key)" }

  func has(_ key: String) -> Bool { file[full(key)] != nil }

  func optionalInt(_ key: String) throws(PreparationFault) -> Int? {
    guard let value = file[full(key)] else { return nil }
    // Some files give a number for each layer, all the same.
    if let numbers = value.numbers?.ints, let first = numbers.first {
      guard numbers.allSatisfy({ $0 == first }) else {
        throw fault(full(key), "differs by layer, which no family here does")
      }
      return first
    }
    guard let number = value.int, number >= 0, number <= 1 << 30 else {
      throw fault(
        full(key), "is \(value.int.map { "\($0)" } ?? value.kindName); expected a whole number")
    }
    return number
  }

  func int(_ key: String) throws(PreparationFault) -> Int {
    guard let number = try optionalInt(key) else { throw fault(full(key), "is missing") }
    return number
  }

  func optionalNumber(_ key: String) throws(PreparationFault) -> Double? {
    guard let value = file[full(key)] else { return nil }
    guard let number = value.double, number.isFinite else {
      throw fault(full(key), "is \(value.kindName); expected a number")
    }
    return number
  }

  func number(_ key: String) throws(PreparationFault) -> Double {
    guard let number = try optionalNumber(key) else { throw fault(full(key), "is missing") }
    return number
  }

  func optionalString(_ key: String) throws(PreparationFault) -> String? {
    guard let value = file[full(key)] else { return nil }
    guard let text = value.string else {
      throw fault(full(key), "is \(value.kindName); expected a string")
    }
    return text
  }

  func optionalBool(_ key: String) throws(PreparationFault) -> Bool? {
    guard let value = file[full(key)] else { return nil }
    guard let flag = value.bool else {
      throw fault(full(key), "is \(value.kindName); expected true or false")
    }
    return flag
  }

  /// Refuses keys of the architecture that ask for something this program does not compute.
  func refuseUnknown(_ known: Set<String>) throws(PreparationFault) {
    for key in file.header.keys where key.hasPrefix(architecture + ".") {
      let name = String(key.dropFirst(architecture.count + 1))
      guard !known.contains(name) else { continue }
      throw fault(key, "is not known to this program, and a model it does not know would run wrong")
    }
  }
}
