import Quantization

/// How the chunks of a plane or file are stored (docs/format.md §6, last paragraph).
struct ChunkRule: Sendable {
  /// The compressed form.
  let codec: ChunkCodec
  /// Whether bytes are numbers, which only their frequencies compress.
  let isNumbers: Bool
  /// Thousandths of the raw bytes that compression must save.
  let smallestGain: Int

  /// Chunks below this length hold too little for a frame to pay.
  static let smallestCompressed = 64

  private static let usualGain = 15
  /// Codes of 4 bits hardly compress, and their scales by a tenth of a ninth; but a compressed
  /// chunk takes about three times as long to load, hashed twice and decompressed.
  private static let fourBitGain = 500

  init(plane: PlaneLayout, scheme: any QuantizationScheme) {
    codec =
      switch plane.dataType.byteCount {
      case 2: .zstdSplit2
      case 4: .zstdSplit4
      default: .zstd
      }
    isNumbers = true
    smallestGain = scheme.name == Schemes.q4.name ? Self.fourBitGain : Self.usualGain
  }

  /// For a file.
  init() {
    codec = .zstd
    isNumbers = false
    smallestGain = Self.usualGain
  }

  /// What decides stored bytes besides the raw ones: chunks made elsewhere may be kept where
  /// this is the same.
  static var compressor: String {
    "\(ZstandardWriter.fingerprint), from \(percent(usualGain)) gain, q4 from "
      + "\(percent(fourBitGain))"
  }

  private static func percent(_ thousandths: Int) -> String {
    thousandths % 10 == 0
      ? "\(thousandths / 10) %" : "\(thousandths / 10).\(thousandths % 10) %"
  }

  /// Whether `stored` bytes instead of `raw` ones are worth the time of decompressing them.
  func pays(stored: Int, raw: Int) -> Bool {
    raw >= Self.smallestCompressed && stored * 1000 <= raw * (1000 - smallestGain)
  }
}
