import Checkpoints
import TensorCore
import TestSupport
import Testing

/// Random damage to a sound file: it is read or refused, never a crash, and what is read covers
/// the file exactly.
@Suite struct HeaderMutationTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func damagedHeadersNeverCrash(seed: UInt64) throws {
    let place = try TemporaryDirectory()
    var random = SeededGenerator(seed: seed)
    var accepted = 0
    for round in 0..<1500 {
      let bytes = damaged(&random)
      let path = place.appending("\(round).safetensors")
      try bytes.write(to: path)
      do {
        let file = try SafetensorsFile(path: path)
        accepted += 1
        var end = bytes.count - file.entries.reduce(0) { $0 + $1.byteCount }
        for entry in file.entries {
          #expect(entry.byteRange.lowerBound == end, "seed \(seed), round \(round)")
          #expect(
            TensorEntry.byteCount(of: entry.dataType, shape: entry.shape) == entry.byteCount)
          end = entry.byteRange.upperBound
        }
        #expect(end == bytes.count, "seed \(seed), round \(round)")
      } catch let fault as CheckpointFault {
        #expect(fault.exitStatus == .badData && fault.message.contains(path), "seed \(seed)")
      }
    }
    #expect(accepted > 10 && accepted < 1400, "\(accepted) of 1500 accepted")
  }

  private func damaged(_ random: inout SeededGenerator) -> [UInt8] {
    var bytes = RawSafetensors().bytes
    let spice = Array("\"{}[]:,0123456789-.eFBU\\ ".utf8) + [0, 0xFF]
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      // The length field now and then, the header mostly.
      let position =
        Int.random(in: 0..<20, using: &random) == 0
        ? Int.random(in: 0..<8, using: &random)
        : Int.random(in: 8..<bytes.count, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[position] = spice.randomElement(using: &random) ?? 0
      case 2: bytes.insert(spice.randomElement(using: &random) ?? 0, at: position)
      case 3: bytes.remove(at: position)
      default:
        // A change that keeps the length field right, to reach the checks behind the parser.
        let header = RawSafetensors().header.count
        guard position < 8 + header else { continue }
        bytes[position] = UInt8.random(in: 0x30...0x39, using: &random)
      }
    }
    return bytes
  }

  /// Every single byte of the header replaced by every digit, quote and bracket.
  @Test func everyByteOfTheHeaderReplaced() throws {
    let place = try TemporaryDirectory()
    let sound = RawSafetensors().bytes
    for position in 0..<8 + RawSafetensors().header.count {
      for replacement in Array("9\"}]".utf8) where sound[position] != replacement {
        var bytes = sound
        bytes[position] = replacement
        let path = place.appending("\(position)-\(replacement).safetensors")
        try bytes.write(to: path)
        do {
          let file = try SafetensorsFile(path: path)
          #expect(file.entries.count <= 3)
        } catch is CheckpointFault {
        }
      }
    }
  }
}
