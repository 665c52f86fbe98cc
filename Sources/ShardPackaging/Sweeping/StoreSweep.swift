import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Removes what no bundle needs: blobs that no manifest names, and what killed commands have left.
///
/// It writes nothing, so that it works on a full disk, and touches nothing that a living command
/// has locked, nor anything it does not know, nor what a link inside of a bundle leads to.
public struct StoreSweep {
  private var report: SweepReport
  /// Names removed of each file that has several, by device and number.
  private var removedNames: [FileNumber: Int] = [:]
  /// Where leftovers were looked for.
  private var visited: Set<String> = []

  private struct FileNumber: Hashable {
    let device: UInt64
    let number: UInt64
  }

  private init(isDryRun: Bool) { report = SweepReport(isDryRun: isDryRun) }

  /// Sweeps a bundle, a node's directory, or a directory that holds such.
  ///
  /// Throws: `PackageFault` where there is nothing of ours, or the one bundle is damaged;
  /// `FileFault` where something cannot be removed.
  public static func run(_ path: String, isDryRun: Bool = false) throws -> SweepReport {
    var sweep = StoreSweep(isDryRun: isDryRun)
    try sweep.sweep(path)
    return sweep.report
  }

  private mutating func sweep(_ path: String) throws {
    let place = Directory.resolved(path) ?? path
    let isThere = Directory.exists(place)
    if isThere, !Self.isBundle(place) {
      try sweepStore(place)
      return
    }
    try sweepLeftovers(of: place)
    if Self.isBundle(place) {
      try sweepBundle(place)
    } else if report.removals.isEmpty, report.busy.isEmpty, report.leftAlone.isEmpty,
      report.restored.isEmpty
    {
      throw PackageFault(
        "noBundle", "there is no bundle at \(path); give a bundle, or a directory that holds some",
        exitStatus: .noInput, context: ["file": path])
    }
  }

  private static func isBundle(_ path: String) -> Bool {
    Directory.isFile("\(path)/\(BundleFiles.manifest)")
  }

  private mutating func sweepStore(_ store: String) throws {
    var targets: Set<String> = []
    var fresh: [String] = []
    for name in try Directory.names(in: store) {
      if !name.hasPrefix("."), FreshDirectory.target(ofStaging: name) != nil,
        Directory.isDirectoryItself("\(store)/\(name)")
      {
        fresh.append(name)
        continue
      }
      if let target = Self.target(ofStaging: name) {
        targets.insert(target)
      } else if Self.isBundle("\(store)/\(name)") {
        targets.insert(name)
      }
    }
    guard !targets.isEmpty || !fresh.isEmpty else {
      throw PackageFault(
        "noBundle",
        "\(store) is no bundle and holds none; give a bundle, or a directory that "
          + "holds some", exitStatus: .noInput, context: ["file": store])
    }
    for name in fresh { try sweepFresh(name, in: store) }
    var bundles: Set<String> = []
    for name in targets.sorted() {
      let path = "\(store)/\(name)"
      try sweepLeftovers(of: path)
      guard Self.isBundle(path) else { continue }
      let place = Directory.resolved(path) ?? path
      guard bundles.insert(place).inserted else { continue }
      try sweepLeftovers(of: place)
      do {
        try sweepBundle(place)
      } catch let fault as PackageFault {
        report.leftAlone.append((place, fault.message))
      }
    }
  }

  /// Removes what a killed export or import has left, which may look like a bundle.
  private mutating func sweepFresh(_ name: String, in store: String) throws {
    let path = "\(store)/\(name)"
    let names = try Directory.names(in: path)
    if let foreign = names.first(where: { !ImageFiles.entries.contains($0) }) {
      report.leftAlone.append((path, "it holds \(foreign), which no export or import has written"))
      return
    }
    guard case .locked(let lock) = try DirectoryLock.take(path) else {
      report.busy.append(FreshDirectory.target(ofStaging: path) ?? path)
      return
    }
    try withExtendedLifetime(lock) { try removeTree(path) }
  }

  private mutating func removeTree(_ path: String) throws {
    let size = try count(tree: path)
    try take(path)
    report.removals.append(.init(path: path, reason: .leftover, byteCount: size))
  }

  /// `a` for `.a.partial`; nil for other names.
  private static func target(ofStaging name: String) -> String? {
    guard name.hasPrefix("."), name.hasSuffix(".partial") else { return nil }
    var stem = name.dropFirst().dropLast(8)
    if stem.hasSuffix(".partial.old") { stem = stem.dropLast(12) }
    return stem.isEmpty ? nil : String(stem)
  }

  /// Removes the staging directory beside a target, where nobody works in it.
  private mutating func sweepLeftovers(of target: String) throws {
    guard visited.insert(target).inserted else { return }
    let aside = StagedDirectory.aside(of: target)
    for path in [StagedDirectory.staging(of: target), aside] {
      guard !leaveAlone(link: path), Directory.exists(path) else { continue }
      if let foreign = try BundleLayout.foreignLeftover(in: path) {
        report.leftAlone.append((path, "it holds \(foreign), which no pack or ship has written"))
        continue
      }
      guard case .locked(let lock) = try DirectoryLock.take(path) else {
        report.busy.append(target)
        continue
      }
      try withExtendedLifetime(lock) {
        if path == aside, Directory.isLink(target) || Directory.isFile(target) {
          report.leftAlone.append((path, "\(target) stands where it belongs"))
        } else if path == aside, !Directory.exists(target) {
          if !report.isDryRun { try Directory.rename(aside, to: target) }
          report.restored.append(target)
        } else {
          try removeTree(path)
        }
      }
    }
  }

  /// Whether a link stands there, which no command makes: what it leads to is not ours to touch.
  private mutating func leaveAlone(link path: String) -> Bool {
    guard Directory.isLink(path) else { return false }
    report.leftAlone.append((path, "it is a link to another place"))
    return true
  }

  /// Bytes in a tree; notes which files lose their last name by it.
  private mutating func count(tree path: String) throws -> Int {
    guard Directory.isDirectoryItself(path) else { return count(path) }
    return try Directory.names(in: path).reduce(0) { sum, name in
      sum + (try count(tree: "\(path)/\(name)"))
    }
  }

  private mutating func count(_ path: String) -> Int {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return 0 }
    let file = FileNumber(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
    let names = removedNames[file, default: 0] + 1
    removedNames[file] = names
    if names >= Int(status.st_nlink) { report.freedByteCount += Int(status.st_size) }
    return Int(status.st_size)
  }

  /// Removes what was counted. From then on the system counts the names that are left.
  private mutating func take(_ path: String) throws(FileFault) {
    guard !report.isDryRun else { return }
    try Directory.remove(path)
    removedNames = [:]
  }

  private mutating func sweepBundle(_ path: String) throws {
    guard !report.busy.contains(path) else { return }
    guard case .locked(let lock) = try DirectoryLock.take(path) else {
      report.busy.append(path)
      return
    }
    try withExtendedLifetime(lock) {
      let manifest = try Self.manifest(of: path)
      try sweepDirectory(path, keeping: try Self.wanted(manifest, path))
      let nodes = "\(path)/\(BundleFiles.nodes)"
      guard !leaveAlone(link: nodes), Directory.exists(nodes) else { return }
      for name in try Directory.names(in: nodes) {
        let inner = "\(nodes)/\(name)"
        if leaveAlone(link: inner) { continue }
        guard manifest.node(name) != nil, Self.isBundle(inner) else {
          report.leftAlone.append((inner, "it is none of the bundle's nodes"))
          continue
        }
        do {
          let own = try Self.manifest(of: inner)
          try sweepDirectory(inner, keeping: try Self.wanted(own, inner))
        } catch let fault as PackageFault {
          report.leftAlone.append((inner, fault.message))
        }
      }
    }
  }

  private static func manifest(of directory: String) throws -> Manifest {
    let path = "\(directory)/\(BundleFiles.manifest)"
    return try Manifest(
      file: InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount), path: path)
  }

  /// The blobs that a directory is for: a node's, or all.
  private static func wanted(_ manifest: Manifest, _ directory: String) throws -> Set<String> {
    let path = "\(directory)/\(BundleFiles.nodeDescriptor)"
    var blobs = manifest.blobs
    if Directory.isFile(path) {
      let descriptor = try NodeDescriptor(
        file: InputFile.contents(of: path, limit: ManifestLimits.nodeDescriptorByteCount),
        path: path)
      guard let node = manifest.node(descriptor.node), descriptor.bundleID == manifest.bundleID
      else {
        throw PackageFault(
          "mixedBundles", "\(path) does not belong to the manifest beside it",
          context: ["file": path])
      }
      blobs = manifest.blobs(of: node)
    }
    return Set(blobs.map(\.digest.hexadecimal))
  }

  private mutating func sweepDirectory(_ directory: String, keeping wanted: Set<String>) throws {
    report.bundles.append(directory)
    let blobs = "\(directory)/\(BundleFiles.blobs)"
    if !leaveAlone(link: Directory.parent(of: blobs)), !leaveAlone(link: blobs),
      Directory.exists(blobs)
    {
      for name in try Directory.names(in: blobs) where !wanted.contains(name) {
        try remove("\(blobs)/\(name)", isBlob: Digest(hexadecimal: name) != nil)
      }
    }
    for name in try Directory.names(in: directory) where BundleLayout.isPartial(name) {
      try remove("\(directory)/\(name)", isBlob: false)
    }
  }

  private mutating func remove(_ path: String, isBlob: Bool) throws(FileFault) {
    let isPartial = BundleLayout.isPartial(Directory.name(of: path))
    guard isBlob || isPartial, Directory.isFileItself(path) else {
      report.leftAlone.append((path, "no pack or ship has written it"))
      return
    }
    let size = count(path)
    try take(path)
    report.removals.append(
      .init(path: path, reason: isBlob ? .unusedBlob : .leftover, byteCount: size))
  }
}
