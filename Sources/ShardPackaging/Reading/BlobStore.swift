import Synchronization
import TensorCore
import TensorKernels

/// The blobs below one directory, open for reading.
final class BlobStore: Sendable {
  let directory: String
  private let open = Mutex<[Digest: InputFile]>([:])
  private let workspaces = WorkspacePool()

  private let requirement: TrustRequirement

  init(directory: String, requirement: TrustRequirement = .off) {
    self.directory = directory
    self.requirement = requirement
  }

  func path(_ blob: BlobReference) -> String {
    "\(directory)/\(BundleFiles.blob(blob.digest))"
  }

  /// Opens a blob and compares its length; `owner` names what is in it, for faults.
  func file(_ blob: BlobReference, owner: String) throws -> InputFile {
    if let file = open.withLock({ $0[blob.digest] }) { return file }
    let file = try requirement.guarding { try checked(blob, owner: owner) }
    open.withLock { $0[blob.digest] = file }
    return file
  }

  private func checked(_ blob: BlobReference, owner: String) throws -> InputFile {
    let path = path(blob)
    let context = ["blob": blob.digest.description, "component": owner, "file": path]
    let file: InputFile
    do { file = try InputFile(path: path) } catch {
      guard error.code == "file.missing" else { throw error }
      throw PackageFault(
        "blobMissing", "\(path), the blob of \(owner), is missing; copy the bundle again",
        context: context)
    }
    guard file.byteCount == blob.byteCount else {
      throw PackageFault(
        "blobLength",
        "\(path), the blob of \(owner), has \(file.byteCount) bytes instead of "
          + "\(blob.byteCount); copy this blob again",
        context: context)
    }
    return file
  }

  /// Gives the memory back in which chunks were read.
  func releaseBuffers() { workspaces.clear() }

  /// Closes a blob that is not needed any more.
  func close(_ blob: BlobReference) {
    open.withLock { _ = $0.removeValue(forKey: blob.digest) }
  }

  /// Reads chunks in parallel and hands each, verified, to `body` with its index; several threads
  /// call it at once.
  ///
  /// Throws: what went wrong at the first bad chunk, whatever the threads.
  func read(
    _ places: [ChunkPlace], pool: WorkerPool?, _ body: (Int, RawSpan) throws -> Void
  ) throws {
    let tasks = Self.tasks(places)
    func process(_ index: Int) throws {
      try requirement.guarding {
        try workspaces.with { try $0.read(places[tasks[index]], from: self, body) }
      }
    }
    if let pool, tasks.count > 1 {
      try pool.runThrowing(chunks: tasks.count, process)
    } else {
      for index in tasks.indices { try process(index) }
    }
  }

  /// Neighbours two by two, for their digests to be computed side by side, where both have at
  /// most half the length that a chunk may have: more would take more memory.
  private static func tasks(_ places: [ChunkPlace]) -> [Range<Int>] {
    var tasks: [Range<Int>] = []
    var first = 0
    while first < places.count {
      let next = first + 1
      let isPair =
        next < places.count
        && max(places[first].chunk.rawByteCount, places[next].chunk.rawByteCount)
          <= ManifestLimits.chunkByteCount / 2
      tasks.append(first..<(isPair ? next + 1 : next))
      first = tasks[tasks.count - 1].upperBound
    }
    return tasks
  }
}
