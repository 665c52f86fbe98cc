import TensorCore

/// Knows what packing writes, so that it never removes what it did not write.
enum BundleLayout {
  /// The first thing in a directory that no pack has put there; nil where all is ours.
  static func foreignEntry(in directory: String) throws(FileFault) -> String? {
    for name in try Directory.names(in: directory) {
      let path = "\(directory)/\(name)"
      switch name {
      case BundleFiles.manifest where Directory.isFile(path): continue
      case _ where isPartial(name) && Directory.isFile(path): continue
      case "blobs" where Directory.exists(path):
        if let entry = try foreignBlob(in: path) { return entry }
      case BundleFiles.nodes where Directory.exists(path):
        if let entry = try foreignNode(in: path) { return entry }
      default: return path
      }
    }
    return nil
  }

  private static func isPartial(_ name: String) -> Bool { name.hasSuffix(".partial") }

  private static func foreignBlob(in directory: String) throws(FileFault) -> String? {
    for name in try Directory.names(in: directory) {
      let path = "\(directory)/\(name)"
      guard name == "sha256", Directory.exists(path) else { return path }
      for blob in try Directory.names(in: path) {
        guard Digest(hexadecimal: blob) != nil || isPartial(blob),
          Directory.isFile("\(path)/\(blob)")
        else { return "\(path)/\(blob)" }
      }
    }
    return nil
  }

  private static func foreignNode(in directory: String) throws(FileFault) -> String? {
    for node in try Directory.names(in: directory) {
      let path = "\(directory)/\(node)"
      guard Directory.exists(path) else { return path }
      for name in try Directory.names(in: path) {
        let inner = "\(path)/\(name)"
        switch name {
        case BundleFiles.manifest where Directory.isFile(inner): continue
        case BundleFiles.nodeDescriptor where Directory.isFile(inner): continue
        case _ where isPartial(name) && Directory.isFile(inner): continue
        case "blobs" where Directory.exists(inner):
          if let entry = try foreignBlob(in: inner) { return entry }
        default: return inner
        }
      }
    }
    return nil
  }
}
