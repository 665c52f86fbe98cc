import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore
import TensorKernels

/// One tensor on its way out of a GGUF file: where it lies, and what it is stored as.
struct GGUFTensorJob: ImportJob {
  let file: GGUFFile
  let tensor: GGUFTensor
  let place: GGUFPlace
  let stored: StoredTensor

  /// Throws: `PreparationFault` where the tensor is missing, or of another shape or type.
  init(
    _ spec: TensorSpec, in file: GGUFFile, _ family: GGUFFamily, _ d: ModelDimensions
  ) throws(PreparationFault) {
    let places = family.places(of: spec, d)
    let found = places.lazy.compactMap { place in file.tensor(place.name).map { (place, $0) } }
      .first
    guard let (place, tensor) = found else {
      let names = places.map(\.name).joined(separator: " or ")
      throw PreparationFault(
        "missingTensor",
        "\(file.path) lacks the tensor \(names) that its keys ask for; download the file again",
        context: ["file": file.path, "tensor": places.first?.name ?? spec.name])
    }
    let context = ["file": file.path(of: tensor), "tensor": tensor.name]
    let isVector = spec.shape.count == 1
    let available = isVector ? tensor.elementCount : tensor.rows
    let wanted = isVector ? spec.columns : spec.rows
    guard available == place.total ?? wanted, isVector || tensor.columns == spec.columns else {
      throw PreparationFault(
        "tensorShape",
        "tensor \(tensor.name) of \(file.path(of: tensor)) has the shape \(tensor.shape), and the "
          + "keys ask for \(spec.shape) in it; the two do not belong together",
        context: context)
    }
    guard let format = tensor.type.weightFormat, !isVector || !format.isQuantized else {
      throw PreparationFault(
        "ggufType",
        "tensor \(tensor.name) of \(file.path(of: tensor)) is of the type \(tensor.type.name), "
          + "which this program does not multiply with; get the model in one of f32, f16, bf16, "
          + Schemes.ggml.map(\.name).joined(separator: ", "), context: context)
    }
    self.file = file
    self.tensor = tensor
    self.place = place
    // Weights that change on the way are floats then.
    let scheme = place.addend != 0 ? WeightFormat.f32.rawValue : format.rawValue
    stored = StoredTensor(
      name: spec.name, scheme: Schemes.stored(named: scheme) ?? Schemes.f32, shape: spec.shape)
  }

  /// The bytes of some rows, in our order.
  ///
  /// Throws: `PreparationFault` for weights that are no numbers.
  func bytes(rows: Range<Int>) throws -> [UInt8] {
    let bytes = try stored.shape.count == 1 ? vector() : matrix(rows)
    guard let format = tensor.type.weightFormat,
      let index = Self.firstThatIsNoNumber(place.addend != 0 ? .f32 : format, bytes)
    else { return bytes }
    throw PreparationFault(
      "notFinite",
      "tensor \(tensor.name) of \(file.path(of: tensor)) holds a number that is infinite or none, "
        + "\(index) numbers into row \(rows.lowerBound); get a sound copy of the model",
      context: ["file": file.path(of: tensor), "tensor": tensor.name])
  }

  private func matrix(_ rows: Range<Int>) throws -> [UInt8] {
    let perRow = tensor.bytesPerRow
    guard place.pairedDimension != nil else {
      let first = place.row(rows.lowerBound)
      return try file.bytes(of: tensor, first * perRow..<(first + rows.count) * perRow)
    }
    return try rows.flatMap { row in
      let from = place.row(row)
      return try file.bytes(of: tensor, from * perRow..<(from + 1) * perRow)
    }
  }

  private func vector() throws -> [UInt8] {
    let size = tensor.type.block.bytes
    let count = stored.columns
    let all = try file.bytes(of: tensor, 0..<tensor.byteCount)
    let bytes = (0..<count).flatMap { index in
      let from = place.row(index) * size
      return all[from..<from + size]
    }
    guard place.addend != 0 else { return bytes }
    var floats = [Float](repeating: 0, count: count)
    var span = floats.mutableSpan
    try Schemes.stored(named: tensor.type.name)?.decode(
      planes: [bytes], rowCount: 1, columns: count, into: &span)
    var planes: [[UInt8]] = []
    let weights = floats.map { $0 - place.addend }
    Schemes.f32.encode(weights.span, rowCount: 1, columns: count, into: &planes)
    return planes[0]
  }

  /// The first number or scale that is infinite or none, counted in numbers or scales.
  private static func firstThatIsNoNumber(_ format: WeightFormat, _ bytes: [UInt8]) -> Int? {
    func isNone(_ high: UInt8, _ next: UInt8) -> Bool {
      switch format {
      case .f32, .bf16: high & 0x7f == 0x7f && next & 0x80 != 0
      default: high & 0x7c == 0x7c
      }
    }
    let step: Int
    let places: [Int]
    switch format {
    case .f32: (step, places) = (4, [2])
    case .f16, .bf16: (step, places) = (2, [0])
    case .q4_1, .q5_1, .q4_k, .q5_k: (step, places) = (format.ggmlBlock?.bytes ?? 1, [0, 2])
    case .q6_k: (step, places) = (210, [208])
    default: (step, places) = (format.ggmlBlock?.bytes ?? 2, [0])
    }
    for first in stride(from: 0, to: bytes.count, by: step) {
      for place in places where isNone(bytes[first + place + 1], bytes[first + place]) {
        return first / step
      }
    }
    return nil
  }
}
