import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// Zstandard frames that lie, behind digests that are right.
@Suite struct FrameTests {
  private let place: TemporaryDirectory
  private let bundle: String
  /// What the frame should hold.
  private let content: [UInt8]

  init() throws {
    place = try TemporaryDirectory()
    bundle = place.appending("bundle")
    var model = SmallModel(layers: 1)
    model.tokenizer = "{" + String(repeating: "  ", count: 2000) + "}"
    content = Array(model.tokenizer.utf8)
    let quantized = try model.write(to: place.appending("quantized"))
    try Packager.pack(quantized, plan: model.plan([1]), to: bundle)
  }

  private static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]

  /// Header fields of a frame: single segment, content size in two bytes.
  private static func header(_ size: Int, descriptor: UInt8 = 0x60) -> [UInt8] {
    let field = size - 256
    return magic + [descriptor, UInt8(field & 255), UInt8(field >> 8)]
  }

  /// A block: type 0 raw, 1 run-length.
  private static func block(
    _ type: Int, size: Int, isLast: Bool, _ bytes: [UInt8]
  ) -> [UInt8] {
    let header = (isLast ? 1 : 0) | type << 1 | size << 3
    return [UInt8(header & 255), UInt8(header >> 8 & 255), UInt8(header >> 16)] + bytes
  }

  private func rawBlock(isLast: Bool = true) -> [UInt8] {
    Self.block(0, size: content.count, isLast: isLast, content)
  }

  /// What opening says when the tokenizer's chunk has these stored bytes.
  private func verdict(_ stored: [UInt8]) throws -> (any Fault)? {
    var forgery = try Forgery(bundle)
    let original = try InputFile.contents(of: "\(bundle)/manifest.json")
    try forgery.replaceStoredChunk(ofFile: "tokenizer.json", by: stored)
    let found = fault {
      let package = try VerifiedPackage.open(directory: bundle)
      #expect(package.assets["tokenizer.json"] == content)
    }
    try Directory.writeAtomically(original, to: "\(bundle)/manifest.json")
    return found
  }

  /// The spaces of the content as one run.
  private var compact: [UInt8] {
    Self.block(0, size: 1, isLast: false, [UInt8(ascii: "{")])
      + Self.block(1, size: content.count - 2, isLast: false, [0x20])
      + Self.block(0, size: 1, isLast: true, [UInt8(ascii: "}")])
  }

  @Test func aForeignButSoundFrameIsAccepted() throws {
    #expect(try verdict(Self.header(content.count) + compact) == nil)
  }

  @Test func framesThatLieAreRefused() throws {
    let size = content.count
    let frame = Self.header(size) + compact
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
    let withoutSize = Self.magic + [0x00, 0x58] + compact
    let wide: [UInt8] = [0, 0, 1, 0, 0, 0, 0, 0]
    let bomb = (0..<200).flatMap { _ in Self.block(1, size: 128 << 10, isLast: false, [0]) }
    let cases: [(String, [UInt8])] = [
      ("no Zstandard frame", [UInt8](repeating: 7, count: 40)),
      ("no Zstandard frame", [0x27, 0xB5, 0x2F, 0xFD] + frame.dropFirst(4)),
      ("too short", Array(frame[..<5])),
      ("too short", Array(frame[..<6])),
      ("skippable", skippable + frame),
      ("bytes follow its frame", frame + skippable),
      ("bytes follow its frame", frame + frame),
      ("bytes follow its frame", frame + [0]),
      ("window instead of a single segment", withoutSize),
      ("window instead of a single segment", Self.magic + [0x40, 0xFF] + wide.prefix(2) + compact),
      ("dictionary", Self.header(size, descriptor: 0x61) + [9] + compact),
      ("checksum flag or reserved", Self.header(size, descriptor: 0x64) + compact + [0, 0, 0, 0]),
      ("checksum flag or reserved", Self.header(size, descriptor: 0x68) + compact),
      ("checksum flag or reserved", Self.header(size, descriptor: 0x70) + compact),
      ("promises", Self.header(size + 1) + compact),
      ("promises", Self.header(size - 1) + compact),
      ("promises", Self.magic + [0xE0] + [0, 0, 0, 0, 1, 0, 0, 0] + compact),
      ("promises", Self.magic + [0xE0] + [UInt8](repeating: 255, count: 8) + compact),
      ("promises", Self.magic + [0xA0, 0xFF, 0xFF, 0xFF, 0xFF] + compact),
      ("promises", Self.magic + [0x20, 5] + compact),
      ("cut short", Array(frame.dropLast())),
      ("cut short", Self.header(size)),
      ("cut short", Self.header(size) + Self.block(3, size: 8, isLast: true, [0])),
      // More than promised, and less: a bomb of 26 MB behind an honest face.
      ("does not decompress", Self.header(size) + bomb + Self.block(1, size: 1, isLast: true, [0])),
      (
        "does not decompress",
        Self.header(size) + Self.block(1, size: size - 1, isLast: true, [0x20])
      ),
      ("does not decompress", Self.header(size) + Self.block(2, size: 3, isLast: true, [1, 2, 3])),
      // The right length, other bytes.
      ("digest", Self.header(size) + Self.block(1, size: size, isLast: true, [0x20])),
    ]
    for (expected, stored) in cases {
      #expect(stored.count < size)
      let found = try verdict(stored)
      #expect(found?.exitStatus == .badData, "accepted: \(expected)")
      #expect(
        found?.message.contains(expected) == true, "\(found?.message ?? "-"), not: \(expected)")
      #expect(found?.context["file"] == "tokenizer.json")
    }
  }

  /// Seeded noise in the compressed bytes: no crash, no acceptance of other content.
  @Test func noiseInFramesIsRefused() throws {
    var generator = SeededGenerator(seed: 20)
    let frame = Self.header(content.count) + compact
    for _ in 0..<300 {
      var noisy = frame
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        noisy[Int.random(in: 4..<noisy.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      // Opening either refuses, or hands out the very content (the noise was no change).
      _ = try verdict(noisy)
    }
  }
}
