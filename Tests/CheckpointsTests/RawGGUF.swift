import Checkpoints
import TensorCore
import TestSupport
import Testing

/// A GGUF file put together by hand, so that any part of it can be wrong.
struct RawGGUF: Sendable, CustomTestStringConvertible {
  struct Tensor: Sendable {
    var name = "a"
    var dimensions: [UInt64] = [32]
    var type: UInt32 = 0
    var offset: UInt64 = 0
    var rank: UInt32?

    var bytes: [UInt8] {
      RawGGUF.string(name) + RawGGUF.little(rank ?? UInt32(dimensions.count))
        + dimensions.flatMap { RawGGUF.little($0) } + RawGGUF.little(type)
        + RawGGUF.little(offset)
    }
  }

  var name = "sound"
  var magic = Array("GGUF".utf8)
  var version: UInt32 = 3
  var tensorCount: UInt64?
  var keyCount: UInt64?
  /// Whole pairs of key, type and value.
  var pairs: [[UInt8]] = [
    pair("general.architecture", 8, string("llama")), pair("a.count", 4, little(UInt32(7))),
  ]
  /// A vector of 32 floats, and two rows of 64 in blocks of q8_0.
  var tensors = [Tensor(), Tensor(name: "b", dimensions: [64, 2], type: 8, offset: 128)]
  var dataByteCount = 128 + 2 * 68
  var alignment = 32

  var testDescription: String { name }

  static func little(_ number: some FixedWidthInteger) -> [UInt8] {
    stride(from: 0, to: type(of: number).bitWidth, by: 8).map {
      UInt8(truncatingIfNeeded: number >> $0)
    }
  }

  static func string(_ text: String) -> [UInt8] {
    little(UInt64(text.utf8.count)) + Array(text.utf8)
  }

  static func pair(_ key: String, _ type: UInt32, _ value: [UInt8]) -> [UInt8] {
    string(key) + little(type) + value
  }

  static func array(_ key: String, _ type: UInt32, count: UInt64, _ value: [UInt8]) -> [UInt8] {
    pair(key, 9, little(type) + little(count) + value)
  }

  var header: [UInt8] {
    magic + Self.little(version) + Self.little(tensorCount ?? UInt64(tensors.count))
      + Self.little(keyCount ?? UInt64(pairs.count)) + pairs.joined() + tensors.flatMap(\.bytes)
  }

  var bytes: [UInt8] {
    let header = header
    let padding = (alignment - header.count % alignment) % alignment
    return header + [UInt8](repeating: 0, count: padding)
      + (0..<dataByteCount).map { UInt8(truncatingIfNeeded: $0) }
  }

  /// A case of its own: a change of the sound file.
  static func named(_ name: String, _ change: (inout RawGGUF) -> Void) -> RawGGUF {
    var raw = RawGGUF()
    raw.name = name
    change(&raw)
    return raw
  }

  /// One more pair.
  static func with(_ name: String, _ pair: [UInt8]) -> RawGGUF {
    named(name) { $0.pairs.append(pair) }
  }
}
