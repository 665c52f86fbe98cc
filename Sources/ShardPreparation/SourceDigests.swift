import Checkpoints
import ShardPackaging
import Synchronization
import TensorCore
import TensorKernels

/// The files that a checkpoint consists of, with their digests, so that a bundle can tell what it
/// was made from.
///
/// Weight files are read piece by piece, just ahead of what needs them, so that each comes from the
/// disk once.
final class SourceDigests: Sendable {
  /// A file and how far it is digested.
  private struct Reading {
    let name: String
    let role: Provenance.Source.Role
    let file: InputFile
    let stream: DigestStream
    var offset = 0
  }

  // SAFETY: streams are used under the lock only.
  @safe private struct Readings: @unchecked Sendable {
    var files: [Reading]
  }

  private let readings: Mutex<Readings>

  /// Of files of weights alone.
  init(weights files: [InputFile]) {
    readings = Mutex(
      Readings(
        files: files.map {
          Reading(
            name: Directory.name(of: $0.path), role: .weights, file: $0, stream: DigestStream())
        }))
  }

  init(_ checkpoint: Checkpoint) throws {
    let directory = checkpoint.directory
    // Weight files first, in the checkpoint's order.
    var files: [(name: String, role: Provenance.Source.Role)] = checkpoint.weightFiles
      .map { (Directory.name(of: $0.path), .weights) }
    files.append(("config.json", .configuration))
    files += checkpoint.tokenizerFiles.map { ($0, .tokenizer) }
    let index = "model.safetensors.index.json"
    if checkpoint.weightFiles.count > 1, Directory.isFile("\(directory)/\(index)") {
      files.append((index, .index))
    }
    for name in try Directory.names(in: directory) where Self.isLicence(name) {
      if Directory.isFile("\(directory)/\(name)") { files.append((name, .licence)) }
    }
    let opened = try files.map { name, role in
      Reading(
        name: name, role: role, file: try InputFile(path: "\(directory)/\(name)"),
        stream: DigestStream())
    }
    readings = Mutex(Readings(files: opened))
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

  /// Reads each of the first weight files up to where `ends` says, as far as it is not read yet.
  func read(upTo ends: [Int]) throws {
    try readings.withLock { readings in
      for (index, end) in ends.enumerated() {
        try Self.read(&readings.files[index], upTo: end)
      }
    }
  }

  /// Reads what is left of all files; returns their digests.
  func finish() throws -> [Provenance.Source] {
    try readings.withLock { readings in
      try readings.files.indices.map { index in
        try Self.read(&readings.files[index], upTo: Int.max)
        let reading = readings.files[index]
        return Provenance.Source(
          name: reading.name, role: reading.role, byteCount: reading.file.byteCount,
          digest: reading.stream.finish())
      }
    }
  }

  private static func read(_ reading: inout Reading, upTo end: Int) throws {
    let end = min(end, reading.file.byteCount)
    guard reading.offset < end else { return }
    var buffer = [UInt8](repeating: 0, count: min(1 << 20, end - reading.offset))
    while reading.offset < end {
      let count = min(buffer.count, end - reading.offset)
      var span = buffer.mutableSpan
      var whole = unsafe span.mutableBytes
      var part = whole._mutatingExtracting(0..<count)
      try reading.file.read(into: &part, at: reading.offset)
      reading.stream.update(part.bytes)
      reading.offset += count
    }
  }
}
