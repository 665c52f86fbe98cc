import Checkpoints
import ShardPackaging
import Synchronization
import TensorCore
import TensorKernels

/// The files that a checkpoint consists of, with their digests, so that a bundle can tell what it
/// was made from.
struct SourceDigests {
  private let directory: String
  private let files: [(name: String, role: Provenance.Source.Role)]

  init(_ checkpoint: Checkpoint) throws {
    directory = checkpoint.directory
    var files: [(name: String, role: Provenance.Source.Role)] = [("config.json", .configuration)]
    files += checkpoint.weightFiles.map { (Directory.name(of: $0.path), .weights) }
    files += checkpoint.tokenizerFiles.map { ($0, .tokenizer) }
    let index = "model.safetensors.index.json"
    if checkpoint.weightFiles.count > 1, Directory.isFile("\(directory)/\(index)") {
      files.append((index, .index))
    }
    for name in try Directory.names(in: directory) where Self.isLicence(name) {
      if Directory.isFile("\(directory)/\(name)") { files.append((name, .licence)) }
    }
    self.files = files
  }

  /// `LICENSE`, `LICENCE.md`, `COPYING`, `NOTICE.txt`, `USE_POLICY.md` and the like.
  private static func isLicence(_ name: String) -> Bool {
    let lower = name.lowercased()
    return ["license", "licence", "copying", "notice", "use_policy"].contains { stem in
      guard lower.hasPrefix(stem), name.utf8.count <= 255,
        !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
      else { return false }
      let rest = lower.dropFirst(stem.count)
      return rest.isEmpty || ".-_".contains(rest.first ?? " ")
    }
  }

  /// Reads all files, several at once.
  func read(pool: WorkerPool, progress: ProgressHandler?) throws -> [Provenance.Source] {
    let inputs = try files.map { try InputFile(path: "\(directory)/\($0.name)") }
    let total = inputs.reduce(0) { $0 + $1.byteCount }
    let done = Mutex(0)
    let advance: @Sendable (Int) -> Void = { bytes in
      let completed = done.withLock { count in
        count += bytes
        return count
      }
      progress?(ProgressUpdate(phase: "digest", completedBytes: completed, totalBytes: total))
    }
    let found = Mutex<[Int: Digest]>([:])
    try pool.runThrowing(chunks: inputs.count) { index in
      let digest = try Self.digest(of: inputs[index], advance: advance)
      found.withLock { $0[index] = digest }
    }
    let digests = found.withLock { $0 }
    return files.indices.compactMap { index in
      digests[index].map {
        Provenance.Source(
          name: files[index].name, role: files[index].role, byteCount: inputs[index].byteCount,
          digest: $0)
      }
    }
  }

  private static func digest(
    of file: InputFile, advance: (Int) -> Void
  ) throws -> Digest {
    let stream = DigestStream()
    var offset = 0
    while offset < file.byteCount {
      let bytes = try file.bytes(at: offset, count: min(1 << 20, file.byteCount - offset))
      unsafe stream.update(bytes.span.bytes)
      offset += bytes.count
      advance(bytes.count)
    }
    return stream.finish()
  }
}
