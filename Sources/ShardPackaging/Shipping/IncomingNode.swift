import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A node's directory on its way in: staging beside the target, with what a broken shipment left
/// there and what an older bundle at the target already has.
///
/// A chunk counts once its bytes were read from a file here and had their digest; what a file's
/// name or length says counts for nothing.
final class IncomingNode {
  let content: NodeContent
  private let files: [String: [UInt8]]
  private let staged: StagedDirectory
  private let reader = StoredChunkReader()
  /// Chunks that are not here yet.
  private(set) var missing: Set<ChunkIndex> = []
  /// Bytes of chunks that were here before anything came.
  private(set) var keptByteCount = 0
  private var outputs: [Int: OutputFile] = [:]
  private let replacesOlder: Bool
  private var unsyncedByteCount = 0

  /// A slow stick is never further behind than this, so that no wait for it is long.
  private static let syncStep = 32 << 20

  /// - Parameter files: what stands beside the blobs, checked.
  init(target: String, content: NodeContent, files: [String: [UInt8]]) throws {
    self.content = content
    self.files = files
    staged = try StagedDirectory(target: target, kind: .node, keepsBlobs: true)
    replacesOlder = Directory.isFile("\(staged.target)/\(BundleFiles.manifest)")
  }

  var target: String { staged.target }

  private func stagedPath(_ blob: Int) -> String {
    "\(staged.staging)/\(BundleFiles.blob(content.blobs[blob].reference.digest))"
  }

  private func partialPath(_ blob: Int) -> String { stagedPath(blob) + ".partial" }

  private func olderPath(_ blob: Int) -> String {
    "\(staged.target)/\(BundleFiles.blob(content.blobs[blob].reference.digest))"
  }

  /// Finds out which chunks are here.
  ///
  /// - Parameter progress: gets bytes compared, and bytes to be compared in all.
  func takeStock(progress: (_ done: Int, _ total: Int) throws -> Void) throws {
    try removeStrangers()
    let total = content.blobs.indices.reduce(0) { sum, blob in
      let lengths = [stagedPath(blob), partialPath(blob), olderPath(blob)].map(Self.length)
      return sum + min(content.blobs[blob].reference.byteCount, lengths.max() ?? 0)
    }
    var done = 0
    for blob in content.blobs.indices {
      let sound = try findChunks(of: blob) { count in
        done = min(total, done + count)
        try progress(done, total)
      }
      for chunk in content.blobs[blob].chunks.indices where !sound.contains(chunk) {
        missing.insert(ChunkIndex(blob: blob, chunk: chunk))
      }
    }
    keptByteCount = content.byteCount - content.storedByteCount(missing)
    try checkSpace()
  }

  private static func length(_ path: String) -> Int {
    var status = stat()
    guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 0 }
    return Int(status.st_size)
  }

  /// What an earlier shipment of something else has left in staging.
  private func removeStrangers() throws {
    let directory = "\(staged.staging)/\(BundleFiles.blobs)"
    let wanted = Set(content.blobs.map(\.reference.digest.hexadecimal))
    for name in try Directory.names(in: directory) {
      let stem = name.hasSuffix(".partial") ? String(name.dropLast(8)) : name
      if !wanted.contains(stem) { try Directory.remove("\(directory)/\(name)") }
    }
  }

  /// The chunks of a blob that are in staging when this returns.
  private func findChunks(
    of blob: Int, progress: (Int) throws -> Void
  ) throws -> Set<Int> {
    let count = content.blobs[blob].chunks.count
    let whole = stagedPath(blob)
    if Directory.isFileItself(whole) {
      let sound = try soundChunks(of: blob, in: whole, progress)
      if sound.count == count, Self.length(whole) == content.blobs[blob].reference.byteCount {
        return sound
      }
      // It may be a second name of an older bundle's file, which is not to be written to.
      try Directory.remove(whole)
    }
    let partial = partialPath(blob)
    if Directory.isFileItself(partial) {
      let sound = try soundChunks(of: blob, in: partial, progress)
      if sound.count == count {
        try seal(blob)
        return sound
      }
      if !sound.isEmpty { return sound }
    }
    let older = olderPath(blob)
    guard Directory.isFile(older) else {
      if count == 0 { try seal(blob) }
      return []
    }
    // A file that cannot be read is worth no more than one that is not there.
    let sound = (try? soundChunks(of: blob, in: older, progress)) ?? []
    if sound.count == count, Self.length(older) == content.blobs[blob].reference.byteCount {
      do {
        try Directory.link(Directory.resolved(older) ?? older, to: whole)
        return sound
      } catch {
        // Somebody may have removed it meanwhile.
        guard !Directory.isFile(older) else { throw error }
        return []
      }
    }
    let copied = try copy(sound, of: blob, from: older)
    if copied.count == count {
      outputs[blob] = nil
      try seal(blob)
    }
    return copied
  }

  private func soundChunks(
    of blob: Int, in path: String, _ progress: (Int) throws -> Void
  ) throws -> Set<Int> {
    guard let file = try? InputFile(path: path) else { return [] }
    var sound: Set<Int> = []
    for (index, place) in content.blobs[blob].chunks.enumerated() {
      if try reader.isSound(place, in: file) { sound.insert(index) }
      try progress(place.chunk.storedByteCount)
    }
    return sound
  }

  /// Brings the good chunks of a damaged file over.
  private func copy(_ chunks: Set<Int>, of blob: Int, from path: String) throws -> Set<Int> {
    guard !chunks.isEmpty, let file = try? InputFile(path: path) else { return [] }
    var copied: Set<Int> = []
    for chunk in chunks.sorted() {
      let place = content.blobs[blob].chunks[chunk]
      guard let bytes = try reader.bytes(of: place, in: file) else { continue }
      try output(blob).write(bytes, at: place.blobOffset)
      copied.insert(chunk)
    }
    return copied
  }

  /// Throws: `PackageFault` where what is missing does not fit on the disk.
  private func checkSpace() throws(PackageFault) {
    let needed = content.storedByteCount(missing)
    var facts = statvfs()
    guard needed > 0, unsafe statvfs(staged.staging, &facts) == 0 else { return }
    let free = Int(clamping: UInt64(facts.f_bavail)).multipliedReportingOverflow(
      by: Int(clamping: UInt64(facts.f_frsize)))
    guard !free.overflow, free.partialValue < needed else { return }
    throw PackageFault(
      "targetFull",
      "\(target) has room for \(Quantity.describe(bytes: free.partialValue)), but "
        + "\(Quantity.describe(bytes: needed)) are missing there; free some space and ship again",
      exitStatus: .inputOutput, context: ["file": target])
  }

  private func output(_ blob: Int) throws(FileFault) -> OutputFile {
    if let file = outputs[blob] { return file }
    let file = try OutputFile(path: partialPath(blob), keepsContents: true)
    outputs[blob] = file
    return file
  }

  /// Writes a chunk that came; says whether it was as it should be.
  func store(_ bytes: [UInt8], at index: ChunkIndex) throws -> Bool {
    let place = content.place(index)
    guard reader.isSound(bytes, place) else { return false }
    let file = try output(index.blob)
    try file.write(bytes, at: place.blobOffset)
    unsyncedByteCount += bytes.count
    if unsyncedByteCount >= Self.syncStep {
      unsyncedByteCount = 0
      try file.synchronize()
    }
    missing.remove(index)
    return true
  }

  func isComplete(_ blob: Int) -> Bool { !missing.contains { $0.blob == blob } }

  /// Reads a complete blob back from the disk; what is not as it was written is missing again.
  func settle(_ blob: Int) throws -> [ChunkIndex] {
    let file = try output(blob)
    try file.truncate(to: content.blobs[blob].reference.byteCount)
    try file.synchronize()
    file.forgetCache()
    outputs[blob] = nil
    let sound = try soundChunks(of: blob, in: partialPath(blob)) { _ in }
    let bad = content.blobs[blob].chunks.indices.filter { !sound.contains($0) }.map {
      ChunkIndex(blob: blob, chunk: $0)
    }
    missing.formUnion(bad)
    if bad.isEmpty { try seal(blob) }
    return bad
  }

  /// Gives a whole file its name.
  private func seal(_ blob: Int) throws(FileFault) {
    let file = try OutputFile(path: partialPath(blob), keepsContents: true)
    try file.truncate(to: content.blobs[blob].reference.byteCount)
    try file.synchronize()
    try Directory.rename(partialPath(blob), to: stagedPath(blob))
  }

  /// Puts the whole directory in its place.
  func install(received: Int) throws -> ShipReceipt {
    precondition(missing.isEmpty, "\(missing.count) chunks are missing")
    outputs = [:]
    let root = staged.staging
    for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
      let file = try OutputFile(path: "\(root)/\(name)")
      try file.write(bytes, at: 0)
      try file.synchronize()
    }
    for name in [BundleFiles.blobs, "blobs", "."] {
      try Directory.synchronize("\(root)/\(name)")
    }
    // The last check is the one that the node itself will make.
    _ = try VerifiedPackage.open(directory: root, node: content.node.name)
    try staged.commit()
    return ShipReceipt(
      receivedByteCount: received, keptByteCount: keptByteCount, replacedOlder: replacesOlder)
  }

  /// Leaves what has come to the next shipment; removes staging where that is nothing.
  func pause() {
    outputs = [:]
    let names = (try? Directory.names(in: "\(staged.staging)/\(BundleFiles.blobs)")) ?? []
    if names.isEmpty { staged.abandon() } else { staged.pause() }
  }
}
