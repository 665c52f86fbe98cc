import FuzzTargets
import TensorCore
import TestSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Feeds a target with inputs and their mutations and notes what it never may do.
struct Replay {
  /// Bytes of address space that reading a corpus of small files may add to the process.
  static let memoryLimit = 128 << 20
  /// Seconds for one input.
  static let timeLimit = 5.0

  private(set) var complaints: [String] = []

  /// Path and bytes of every input of a target's corpus.
  static func inputs(of target: FuzzTarget) throws -> [(path: String, bytes: [UInt8])] {
    let folder = Places.fixture("fuzz/\(target.name)")
    return try Directory.names(in: folder).map { name in
      ("\(target.name)/\(name)", try InputFile.contents(of: "\(folder)/\(name)", limit: 1 << 20))
    }
  }

  /// The corpus of a target, each input as it is and in some mutations that are always the same.
  mutating func run(_ target: FuzzTarget, mutationsPerInput: Int) throws {
    try run(target, inputs: try Self.inputs(of: target), mutationsPerInput: mutationsPerInput)
  }

  mutating func run(
    _ target: FuzzTarget, inputs: [(path: String, bytes: [UInt8])], mutationsPerInput: Int
  ) throws {
    let place = try target.makePlace()
    var generator = SeededGenerator(seed: 0x5EED)
    Self.limitMemory(to: Self.memoryLimit)
    for (path, bytes) in inputs {
      Self.tell("reading \(path)")
      check(target, bytes, place, "\(path)")
      for number in 0..<mutationsPerInput {
        let mutation = Self.mutation(of: bytes, &generator)
        check(target, mutation, place, "\(path), mutation \(number)")
      }
    }
  }

  private mutating func check(
    _ target: FuzzTarget, _ bytes: [UInt8], _ place: FuzzPlace, _ what: String
  ) {
    let clock = ContinuousClock()
    let start = clock.now
    if case .broken(let sentence) = target.verdict(on: bytes, in: place) {
      complaints.append("\(what): \(sentence)")
    }
    let seconds = (clock.now - start) / .seconds(1)
    if seconds > Self.timeLimit { complaints.append("\(what): took \(seconds) s") }
  }

  /// One to four small changes: bits, bytes, cuts, repetitions.
  private static func mutation(
    of bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      guard !bytes.isEmpty else { break }
      let index = Int.random(in: 0..<bytes.count, using: &generator)
      let end = min(bytes.count, index + Int.random(in: 1...16, using: &generator))
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 1: bytes[index] = UInt8.random(in: 0...255, using: &generator)
      case 2: bytes.removeSubrange(index..<end)
      case 3: bytes.insert(contentsOf: bytes[index..<end], at: index)
      default: bytes.removeSubrange(index...)
      }
    }
    return bytes
  }

  static func tell(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  }

  /// Lets the process take so much more address space than it has now; an allocation beyond that
  /// fails, which ends the process. Linux alone knows such a limit.
  static func limitMemory(to byteCount: Int) {
    #if os(Linux)
      var limit = rlimit()
      let resource = __rlimit_resource_t(RLIMIT_AS.rawValue)
      _ = unsafe getrlimit(resource, &limit)
      limit.rlim_cur = min(limit.rlim_max, rlim_t(addressSpaceByteCount() + byteCount))
      _ = unsafe setrlimit(resource, &limit)
    #endif
  }

  #if os(Linux)
    private static func addressSpaceByteCount() -> Int {
      let descriptor = unsafe open("/proc/self/statm", O_RDONLY)
      guard descriptor >= 0 else { return 0 }
      defer { close(descriptor) }
      var buffer = [UInt8](repeating: 0, count: 128)
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe read(descriptor, $0.baseAddress, $0.count)
      }
      let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
      let pages = text.split(separator: " ").first.flatMap { Int($0) } ?? 0
      return pages * Int(getpagesize())
    }
  #endif
}
