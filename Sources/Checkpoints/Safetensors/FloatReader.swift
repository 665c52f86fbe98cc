import StrictJSON
import TensorCore
import TensorKernels

/// Reads a tensor's elements as 32-bit floats and refuses those that are no numbers.
struct FloatReader {
  let file: InputFile
  let entry: TensorEntry

  /// Elements converted at a time.
  private static let window = 32 << 10

  /// Precondition: `elements` lies within the tensor and `floats` is as long as it.
  func read(_ elements: Range<Int>, into floats: inout MutableSpan<Float>) throws {
    precondition(
      elements.lowerBound >= 0 && elements.upperBound <= entry.elementCount,
      "elements \(elements) of \(entry.name), which has \(entry.elementCount)")
    precondition(
      floats.count == elements.count, "\(elements.count) elements into \(floats.count) floats")
    switch entry.dataType {
    case .f32: try readFullWidth(elements, into: &floats)
    case .f16, .bf16: try readHalfWidth(elements, into: &floats)
    default:
      throw CheckpointFault(
        "notFloats",
        "tensor \(Excerpt.quoted(entry.name)) of \(file.path) is \(entry.dataType.rawValue); "
          + "weights have to be F16, BF16 or F32: get the unquantized version of the model",
        file: file.path, tensor: entry.name)
    }
    guard !FloatConversion.allFinite(floats.span) else { return }
    for index in floats.indices where !floats[index].isFinite {
      throw notFinite(elements.lowerBound + index, value: floats[index])
    }
  }

  private func readFullWidth(
    _ elements: Range<Int>, into floats: inout MutableSpan<Float>
  ) throws(FileFault) {
    var bytes = unsafe floats.mutableBytes
    try file.read(into: &bytes, at: entry.byteRange.lowerBound + 4 * elements.lowerBound)
  }

  private func readHalfWidth(
    _ elements: Range<Int>, into floats: inout MutableSpan<Float>
  ) throws(FileFault) {
    var buffer = [UInt8](repeating: 0, count: 2 * min(elements.count, Self.window))
    var done = 0
    while done < elements.count {
      let count = min(Self.window, elements.count - done)
      var window = buffer.mutableSpan
      var windowBytes = unsafe window.mutableBytes
      var bytes = windowBytes._mutatingExtracting(0..<2 * count)
      try file.read(
        into: &bytes, at: entry.byteRange.lowerBound + 2 * (elements.lowerBound + done))
      var part = floats._mutatingExtracting(done..<done + count)
      if entry.dataType == .f16 {
        FloatConversion.f16ToF32(bytes.bytes, into: &part)
      } else {
        FloatConversion.bf16ToF32(bytes.bytes, into: &part)
      }
      done += count
    }
  }

  /// Says which element it is, as row and column where the tensor has rows.
  private func notFinite(_ index: Int, value: Float) -> CheckpointFault {
    let columns = entry.shape.count > 1 ? entry.shape.dropFirst().reduce(1, *) : 0
    let what = value.isNaN ? "NaN" : value > 0 ? "infinity" : "-infinity"
    let place = columns > 0 ? "[\(index / columns), \(index % columns)]" : "\(index)"
    return CheckpointFault(
      "notFinite",
      "tensor \(Excerpt.quoted(entry.name)) of \(file.path) holds \(what) at element \(place); "
        + "the weights are damaged: download or train them again",
      file: file.path, tensor: entry.name)
  }
}
