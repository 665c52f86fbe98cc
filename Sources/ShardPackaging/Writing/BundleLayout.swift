import TensorCore

/// Knows what packing and shipping write, so that they never remove what they did not write. A
/// symbolic link is none of it, wherever it leads.
enum BundleLayout {
  /// What may stand at a place.
  enum Kind {
    /// A bundle with all its nodes, as `pack` makes it.
    case bundle
    /// One node's directory, as `ship` makes it.
    case node
  }

  /// The first thing in a directory that was not put there by us; nil where all is ours.
  static func foreignEntry(in directory: String, _ kind: Kind) throws(FileFault) -> String? {
    switch kind {
    case .bundle: try foreignBundleEntry(in: directory)
    case .node: try foreignNodeEntry(in: directory)
    }
  }

  /// The first thing in a staging directory that was not put there by us; nil where all is ours.
  static func foreignLeftover(in directory: String) throws(FileFault) -> String? {
    guard let foreign = try foreignBundleEntry(in: directory) else { return nil }
    return try foreignNodeEntry(in: directory) == nil ? nil : foreign
  }

  private static func foreignBundleEntry(in directory: String) throws(FileFault) -> String? {
    for name in try Directory.names(in: directory) {
      let path = "\(directory)/\(name)"
      switch name {
      case BundleFiles.nodeDescriptor: return path
      case _ where isSmall(name) && Directory.isFileItself(path): continue
      case _ where isPartial(name) && Directory.isFileItself(path): continue
      case _ where isLitter(name) && Directory.isFileItself(path): continue
      case "blobs" where Directory.isDirectoryItself(path):
        if let entry = try foreignBlob(in: path) { return entry }
      case BundleFiles.nodes where Directory.isDirectoryItself(path):
        for node in try Directory.names(in: path) where !isLitter(node) {
          guard Directory.isDirectoryItself("\(path)/\(node)") else { return "\(path)/\(node)" }
          if let entry = try foreignNodeEntry(in: "\(path)/\(node)") { return entry }
        }
      default: return path
      }
    }
    return nil
  }

  private static func isSmall(_ name: String) -> Bool { BundleFiles.limit(ofSmall: name) != nil }

  /// What file managers leave in every directory they show: nobody's loss.
  private static func isLitter(_ name: String) -> Bool {
    [".DS_Store", "Thumbs.db", "desktop.ini"].contains(name)
  }

  static func isPartial(_ name: String) -> Bool { name.hasSuffix(".partial") }

  private static func foreignBlob(in directory: String) throws(FileFault) -> String? {
    for name in try Directory.names(in: directory) where !isLitter(name) {
      let path = "\(directory)/\(name)"
      guard name == "sha256", Directory.isDirectoryItself(path) else { return path }
      for blob in try Directory.names(in: path) where !isLitter(blob) {
        guard Digest(hexadecimal: blob) != nil || isPartial(blob),
          Directory.isFileItself("\(path)/\(blob)")
        else { return "\(path)/\(blob)" }
      }
    }
    return nil
  }

  private static func foreignNodeEntry(in directory: String) throws(FileFault) -> String? {
    for name in try Directory.names(in: directory) {
      let path = "\(directory)/\(name)"
      switch name {
      case _ where isSmall(name) && Directory.isFileItself(path): continue
      case _ where isPartial(name) && Directory.isFileItself(path): continue
      case _ where isLitter(name) && Directory.isFileItself(path): continue
      case "blobs" where Directory.isDirectoryItself(path):
        if let entry = try foreignBlob(in: path) { return entry }
      default: return path
      }
    }
    return nil
  }
}
