import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// Frames that would like much memory, read by a real process whose peak is measured.
@Suite(.serialized) struct FrameMemoryTests {
  private static let tool = "\(Places.programs)/shardtool"
  private static let isBuilt = Directory.isFile(tool)
  /// Runs a command and prints its exit status and the most memory it had, in KiB.
  private static let meter = """
    import resource, subprocess, sys
    status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(status, peak // 1024 if sys.platform == "darwin" else peak)
    """

  private let place: TemporaryDirectory
  private let bundle: String
  /// The raw bytes that the manifest declares for the chunk.
  private static let declared = 4 << 20

  init() throws {
    place = try TemporaryDirectory()
    bundle = place.appending("bundle")
    var model = SmallModel(layers: 1)
    model.tokenizer = "{" + String(repeating: " ", count: Self.declared - 2) + "}"
    let quantized = try model.write(to: place.appending("quantized"))
    try Packager.pack(
      quantized, plan: model.plan([1]), to: bundle, chunkByteCount: Self.declared)
  }

  private func peak(_ arguments: [String]) throws -> (status: Int32, byteCount: Int)? {
    let run = try ProgramRun.run("/usr/bin/env", ["python3", "-c", Self.meter] + arguments)
    let numbers = run.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    guard numbers.count == 2 else {
      print("no python3 here: the memory of refused frames was not measured")
      return nil
    }
    return (Int32(numbers[0]), numbers[1] << 10)
  }

  private static func number(_ value: UInt64, bytes: Int) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  /// So many blocks that are one byte each and stand for 128 KiB.
  private static func runs(_ count: Int) -> [UInt8] {
    (0..<count).flatMap { index in
      number(UInt64((index == count - 1 ? 1 : 0) | 1 << 1 | (128 << 10) << 3), bytes: 3) + [0x20]
    }
  }

  /// Frames for the chunk, each with the reason why it is refused.
  private static var frames: [(reason: String, stored: [UInt8])] {
    let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
    let honest = magic + [0xA0] + number(UInt64(declared), bytes: 4)
    let whole = runs(declared >> 17)
    let skippable = [0x50, 0x2A, 0x4D, 0x18] + number(0xFFFF_FFFF, bytes: 4)
    return [
      // 4 GiB behind a header that tells the truth of the manifest, and behind one that does not.
      ("does not decompress", honest + runs(1 << 15)),
      ("promises", magic + [0xE0] + number(1 << 32, bytes: 8) + runs(1 << 15)),
      ("promises", magic + [0xE0] + number(UInt64.max, bytes: 8) + whole),
      // No content size, with windows of 1 MiB and of 3.75 TiB.
      ("window instead", magic + [0x00, 0x50] + whole),
      ("window instead", magic + [0x00, 0xFF] + whole),
      ("window instead", magic + [0x80, 0xFF] + number(UInt64(declared), bytes: 4) + whole),
      ("bytes follow its frame", honest + whole + honest + whole),
      ("bytes follow its frame", honest + whole + skippable),
      ("skippable", skippable + honest + whole),
      ("dictionary", magic + [0xA3] + number(7, bytes: 4) + honest.dropFirst(5) + whole),
      ("checksum flag", magic + [0xA4] + honest.dropFirst(5) + whole + [0, 0, 0, 0]),
      ("cut short", honest + whole.dropLast(5)),
    ]
  }

  @Test(.enabled(if: isBuilt)) func refusingTakesLittleMemory() throws {
    guard let start = try peak([Self.tool, "--version"]) else { return }
    #expect(start.status == 0)
    guard let sound = try peak([Self.tool, "verify", bundle]) else { return }
    #expect(sound.status == 0)
    for (reason, stored) in Self.frames {
      let forged = place.appending("forged")
      try copyTree(bundle, to: forged)
      try Directory.remove("\(forged)/nodes")
      var forgery = try Forgery(forged)
      try forgery.replaceStoredChunk(ofFile: "tokenizer.json", by: stored)
      let run = try ProgramRun.run(Self.tool, ["verify", forged])
      #expect(run.status == ExitStatus.badData.rawValue, "accepted: \(reason)")
      #expect(run.errors.contains(reason), "\(run.errors), not: \(reason)")
      #expect(run.errors.contains("tokenizer.json"))
      guard let refused = try peak([Self.tool, "verify", forged]) else { return }
      #expect(refused.status == ExitStatus.badData.rawValue)
      // What the program takes to say its version does not count.
      #expect(
        refused.byteCount - start.byteCount <= Self.declared + (16 << 20),
        "\(reason): \(refused.byteCount >> 10) KiB, to start \(start.byteCount >> 10) KiB")
      try Directory.remove(forged)
    }
  }
}
