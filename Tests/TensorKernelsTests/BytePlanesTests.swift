import TensorKernels
import TestSupport
import Testing

/// Bytes taken apart and put together, beside the definition.
@Suite struct BytePlanesTests {
  private func bytes(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(count))
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  private func target(_ count: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    body(&raw)
    return bytes
  }

  @Test(arguments: [0, 1, 2, 3, 7, 15, 16, 17, 31, 64, 127, 1000, 4097], [2, 4])
  func partsAreWhatTheyShouldBe(count: Int, width: Int) {
    let numbers = bytes(count * width)
    let want = (0..<width).flatMap { part in (0..<count).map { numbers[$0 * width + part] } }
    let parts = target(numbers.count) { target in
      unsafe BytePlanes.split(numbers.span.bytes, width: width, into: &target)
    }
    #expect(parts == want)
    let joined = target(numbers.count) { target in
      unsafe BytePlanes.join(parts.span.bytes, width: width, into: &target)
    }
    #expect(joined == numbers)
    // Only some of the numbers, to somewhere else.
    let first = count / 3
    let some = min(count - first, 37)
    let piece = target(some * width) { target in
      unsafe BytePlanes.join(parts.span.bytes, width: width, from: first, into: &target)
    }
    #expect(piece == Array(numbers[first * width..<(first + some) * width]))
  }

  @Test(arguments: [0, 1, 5, 8, 9, 63, 1000, 100_003], [1, 2, 4])
  func bytesAreCounted(count: Int, width: Int) {
    let numbers = bytes(count)
    var want = [UInt32](repeating: 0, count: width * 256)
    for (index, byte) in numbers.enumerated() { want[index % width * 256 + Int(byte)] += 1 }
    #expect(unsafe BytePlanes.histograms(numbers.span.bytes, width: width) == want)
  }
}
