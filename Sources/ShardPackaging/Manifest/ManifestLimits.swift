import ShardPlanning

/// Bounds on what a manifest may say; every number from a file is compared with one of them.
public enum ManifestLimits {
  /// Bytes of manifest.json.
  public static let manifestByteCount = 16 << 20
  /// Bytes of node.json.
  public static let nodeDescriptorByteCount = 64 << 10
  /// Raw bytes of a chunk.
  public static let chunkByteCount = ProcessBytes.chunkByteCount
  /// Bytes of one file beside the weights.
  public static let fileByteCount = 256 << 20
  /// Bytes of a tensor's name.
  public static let tensorNameByteCount = 512
  /// Rows or columns of a tensor.
  public static let dimension = 1 << 31
  /// Elements of a tensor: 2⁴⁰ keeps every byte count within 64 bits.
  public static let elementCount = 1 << 40
  /// Numbers of bundles in their line; the format's integers end with 64 bits.
  public static let sequence = 1...(1 << 53)
  /// Bytes of a blob.
  public static let blobByteCount = 1 << 48

  /// Whether a file or node may have this name: one path component of plain characters, so that
  /// no name leads out of its directory.
  public static func isPlainName(_ name: String) -> Bool {
    guard (1...64).contains(name.utf8.count), !name.hasPrefix("."), !name.hasPrefix("-") else {
      return false
    }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  /// Whether a tensor may have this name: short, and nothing that garbles a terminal.
  static func isTensorName(_ name: String) -> Bool {
    (1...tensorNameByteCount).contains(name.utf8.count)
      && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
  }
}
