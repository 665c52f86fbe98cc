import TensorCore

/// Files that are often found under a safetensors name without being one.
enum ForeignContent {
  case gitLFSPointer, webPage, pickle, archive, gguf, json

  /// What the file is by its first bytes; nil where it may be safetensors.
  static func detect(in file: InputFile) throws(FileFault) -> ForeignContent? {
    let start = try file.bytes(at: 0, count: min(256, file.byteCount))
    // The length field of a header below the format's limit ends in four zero bytes.
    guard start.count < 8 || start[4..<8].contains(where: { $0 != 0 }) else { return nil }
    let text = String(decoding: start, as: UTF8.self).lowercased()
    let trimmed = text.drop { $0.isWhitespace }
    if trimmed.hasPrefix("version https://git-lfs") { return .gitLFSPointer }
    if trimmed.hasPrefix("<!doctype") || trimmed.hasPrefix("<html") || trimmed.hasPrefix("<?xml") {
      return .webPage
    }
    if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) { return .archive }
    if start.count >= 2, start[0] == 0x80, (2...5).contains(start[1]) { return .pickle }
    if start.starts(with: Array("GGUF".utf8)) { return .gguf }
    if trimmed.hasPrefix("{\"") { return .json }
    return nil
  }

  func sentence(path: String) -> String {
    switch self {
    case .gitLFSPointer:
      "\(path) is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
    case .webPage:
      "\(path) is a web page, not a safetensors file; the download failed: log in or accept "
        + "the model's licence, and download it again"
    case .pickle:
      "\(path) is a Python pickle, which can run code and is never loaded; get the safetensors "
        + "version of the model"
    case .archive:
      "\(path) is a zip archive or a PyTorch checkpoint, which can run code and is never loaded; "
        + "get the safetensors version of the model"
    case .gguf:
      "\(path) is a GGUF file, not a safetensors file; bring it in with shardtool import"
    case .json:
      "\(path) is JSON text, not a safetensors file; download or copy the file again"
    }
  }
}
